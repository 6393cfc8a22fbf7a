"""Terraform as a whole: format, validity, each module's own tests, the scanner, and the conventions of the tree."""

import fnmatch
import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from support.terraform import (
    ENVIRONMENTS,
    MODULES,
    PLANS,
    PRIVATE,
    REGION,
    ROOT,
    TERRAFORM,
    VARIABLES,
    Plan,
    Workspace,
    missing,
)

FILES = {"main.tf", "variables.tf", "outputs.tf", "versions.tf", "README.md"}
SKIP = re.compile(r"#\s*checkov:skip=(?P<check>\w+)(?P<reason>.*)")
CHECKOV = Path(sys.prefix) / "checkov" / "bin" / "checkov"
VARIABLES_FILE = TERRAFORM / "variables.tf"
HOURS = 730  # of a month, as AWS counts them


def is_private(name: str) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in PRIVATE)


def tree(*suffixes: str) -> list[Path]:
    found = [
        path
        for path in TERRAFORM.rglob("*")
        if path.suffix in suffixes and not any(map(is_private, path.relative_to(TERRAFORM).parts))
    ]
    assert found
    return found


def files_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if not is_private(path.name)}


def values_of(environment: str) -> dict[str, str]:
    """The committed values of an environment, as they are written."""
    text = (TERRAFORM / f"{environment}.tfvars").read_text("utf-8")
    return dict(re.findall(r"^(\w+) += (.+)$", text, re.MULTILINE))


def test_the_format_is_terraforms(terraform: Workspace) -> None:
    checked = terraform.run(terraform.folder / "terraform", "fmt", "-check", "-diff", "-recursive")
    assert checked.ok, checked.output


@pytest.mark.parametrize("name", [*MODULES, "bootstrap"])
def test_a_modules_own_tests_pass(terraform: Workspace, name: str) -> None:
    outcome = terraform.tested[name]
    assert outcome.ok, outcome.output
    ran = re.search(r"(\d+) passed, 0 failed", outcome.output)
    assert ran, outcome.output
    assert int(ran.group(1)) >= 2, outcome.output


def test_an_environment_plans_every_part_of_the_platform(plan: Plan) -> None:
    parts = {resource.address.split(".")[1].split("[")[0] for resource in plan.resources}
    assert parts == set(MODULES) - (set() if plan.has_dashboards else {"dashboards"})


def test_there_are_eleven_modules() -> None:
    assert set(MODULES) == {
        "network", "lake", "registry", "extract_job", "transform_job", "data_quality", "serving", "orchestration",
        "observability", "source", "dashboards",
    }  # fmt: skip


@pytest.mark.parametrize("folder", [*(f"modules/{name}" for name in MODULES), "bootstrap"])
def test_a_module_is_five_files_and_its_tests(folder: str) -> None:
    assert files_in(TERRAFORM / folder) == {*FILES, "tests"}
    assert list((TERRAFORM / folder / "tests").glob("*.tftest.hcl"))


def test_the_root_is_values_and_module_calls() -> None:
    files = {name for name in files_in(TERRAFORM) if (TERRAFORM / name).is_file()}
    assert {name for name in files if not name.startswith("requirements-")} == {
        *FILES,
        *(f"{name}.tfvars" for name in ENVIRONMENTS),
    }
    text = (TERRAFORM / "main.tf").read_text("utf-8")
    assert set(re.findall(r"^(\w+)\b.*\{$", text, re.MULTILINE)) == {"locals", "module"}
    assert sorted(re.findall(r'source = "\./modules/([^"]+)"', text)) == sorted(MODULES)


def test_the_environments_differ_in_values_only() -> None:
    dev, prod = map(values_of, ENVIRONMENTS)
    assert set(dev) == set(prod)
    assert (dev["environment"], prod["environment"]) == ('"dev"', '"prod"')
    for path in tree(".tf"):
        assert not re.search(r'"(dev|prod)"', re.sub(r"contains\(.*", "", path.read_text("utf-8"))), path


def test_what_makes_an_environment_has_no_default(terraform: Workspace) -> None:
    declared = terraform.plans["dev"].value["configuration"]["root_module"]["variables"]
    without = {name for name, variable in declared.items() if "default" not in variable}
    assert without - set(VARIABLES) == set(values_of("dev"))


def test_values_of_a_person_are_ignored_by_git_and_those_of_an_environment_are_not() -> None:
    private = [f"terraform/{name}.local.tfvars" for name in ENVIRONMENTS] + ["terraform/terraform.tfvars"]
    asked = [*private, *(f"terraform/{name}.tfvars" for name in ENVIRONMENTS)]
    done = subprocess.run(
        ["git", "check-ignore", "--no-index", *asked], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.stdout.splitlines() == private


def test_every_variable_and_output_is_described_and_typed() -> None:
    for path in tree(".tf"):
        for block in re.findall(
            r'^(variable|output) "(\w+)" \{\n(.*?)^\}', path.read_text("utf-8"), re.MULTILINE | re.DOTALL
        ):
            kind, name, body = block
            assert re.search(r"^  description\s*= ", body, re.MULTILINE), f"{path}: {kind} {name} has no description"
            if kind == "variable":
                assert re.search(r"^  type\s*= ", body, re.MULTILINE), f"{path}: {kind} {name} has no type"


def test_only_the_aws_provider_is_used_in_one_version() -> None:
    sources = {
        text
        for path in tree(".tf")
        for text in re.findall(r'^\s+source\s+= "([^".]+/[^"]+)"', path.read_text("utf-8"), re.MULTILINE)
    }
    versions = {
        text
        for path in tree(".tf")
        for text in re.findall(r'^\s+version = "([^"]+)"', path.read_text("utf-8"), re.MULTILINE)
    }
    assert sources == {"hashicorp/aws"}
    assert versions == {"6.25.0"}


def test_state_is_remote_encrypted_and_locked() -> None:
    backend = re.search(r'backend "s3" \{(.*?)\n  \}', (TERRAFORM / "versions.tf").read_text("utf-8"), re.DOTALL)
    assert backend
    assert re.search(r"encrypt\s+= true", backend.group(1))
    assert re.search(r"use_lockfile\s+= true", backend.group(1))


def test_no_state_is_found_but_by_naming_its_environment(terraform: Workspace) -> None:
    folder = terraform.folder / "remote"  # with the backend that all other tests replace
    folder.mkdir()
    shutil.copy(TERRAFORM / "versions.tf", folder)
    asked = terraform.run(folder, "output")
    assert not asked.ok
    assert "Backend initialization required" in asked.output
    place = ("-backend-config=bucket=deftunes-state", f"-backend-config=region={REGION}")
    made = terraform.run(folder, "init", "-input=false", *place)  # as docs/aws.md says, less the key
    assert not made.ok
    assert 'The attribute "key" is required' in made.output


def test_the_state_of_production_does_not_take_the_values_of_a_trial(terraform: Workspace) -> None:
    terraform.initialize("protected")
    guard = "module.lake.terraform_data.protected"
    made = terraform.with_values("apply", "prod", "-auto-approve", f"-target={guard}", state="protected")
    assert made.ok, made.output
    refused = terraform.with_values("plan", "dev", state="protected")
    assert not refused.ok
    assert re.search(rf"Instance cannot be destroyed.*{re.escape(guard)}", refused.output, re.DOTALL)
    assert terraform.with_values("plan", "prod", state="protected").ok


def test_the_tree_names_no_account_and_no_secret() -> None:
    for path in tree(".tf", ".tfvars", ".hcl", ".md"):
        text = path.read_text("utf-8")
        assert set(re.findall(r"(?<!\d)\d{12}(?!\d)", text)) <= {"123456789012"}, path
        assert not re.search(r"\b(AKIA|ASIA)[A-Z0-9]{16}\b|-----BEGIN", text), path


def test_every_resource_is_tagged_by_default(terraform: Workspace) -> None:
    for name, plan in terraform.plans.items():
        tags = plan.value["configuration"]["provider_config"]["aws"]["expressions"]["default_tags"][0]["tags"]
        assert {"local.platform.name", "var.environment"} <= set(tags["references"])
        assert plan.value["variables"]["environment"]["value"] == PLANS[name][0]
    assert re.search(
        r"Project = local\.platform\.name, Environment = var\.environment,",
        (TERRAFORM / "versions.tf").read_text("utf-8"),
    )


def test_every_alert_has_its_heading() -> None:
    listed = re.search(
        r"^\| alert.*?(?=\n\n|\Z)",
        (TERRAFORM / "modules/observability/README.md").read_text("utf-8"),
        re.DOTALL | re.MULTILINE,
    )
    assert listed
    alerts = re.findall(r"^\| `([\w-]+)`", listed.group(0), re.MULTILINE)
    assert len(alerts) == 4
    headings = re.findall(r"^#+ `?([\w-]+)`?$", (ROOT / "docs" / "aws.md").read_text("utf-8"), re.MULTILINE)
    assert {*alerts, "dashboards"} <= set(headings)


def test_there_are_dashboards_only_where_somebody_wants_them(terraform: Workspace) -> None:
    assert {name for name, plan in terraform.plans.items() if plan.has_dashboards} == {"dashboards"}
    assert not [name for environment in ENVIRONMENTS for name in values_of(environment) if name == "dashboards"]


PRICE = re.compile(
    r"^\| (?P<what>[^|]+) \| (?P<count>[\d.]+) \| (?P<each>[\d.]+) \| (?P<month>[\d.]+) \|$", re.MULTILINE
)


def test_the_price_of_the_dashboards_is_that_of_the_plan(terraform: Workspace) -> None:
    text = (TERRAFORM / "modules/dashboards/README.md").read_text("utf-8")
    rows = {found["what"]: found for found in PRICE.finditer(text)}
    resources = [r for r in terraform.plans["dashboards"].resources if r.address.startswith("module.dashboards")]
    (server,) = [r.values for r in resources if r.address.endswith('.aws_ecs_task_definition.this["server"]')]
    (database,) = [r.values for r in resources if r.type == "aws_db_instance"]
    kinds = Counter(resource.type for resource in resources)
    assert (kinds["aws_ecs_service"], kinds["aws_lb"], kinds["aws_db_instance"]) == (1, 1, 1)
    assert {what: float(row["count"]) for what, row in rows.items()} == {
        "Fargate, vCPU hours": HOURS * int(server["cpu"]) / 1024,
        "Fargate, GB hours": HOURS * int(server["memory"]) / 1024,
        "load balancer, hours": HOURS,
        f"RDS {database['instance_class']}, hours": HOURS,
        "RDS storage, GB": database["allocated_storage"],
        "secrets": kinds["aws_secretsmanager_secret"] + 1,  # and the database's, which AWS makes
        "alarms": kinds["aws_cloudwatch_metric_alarm"],
    }
    for row in rows.values():
        assert float(row["month"]) == pytest.approx(float(row["count"]) * float(row["each"]), abs=0.005), row["what"]
    total = sum(float(row["month"]) for row in rows.values())
    assert f"**{total:.2f}**" in text
    beside = re.search(r'variable "dashboards" \{.*?About (\d+) dollars', VARIABLES_FILE.read_text("utf-8"), re.DOTALL)
    assert beside
    assert int(beside[1]) == round(total)


@pytest.fixture(scope="module", params=PLANS)
def scanned(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, list[dict[str, str]]]:
    """What checkov found with the values of a plan: failed and skipped checks."""
    if not CHECKOV.is_file():
        missing("checkov is not in .venv/checkov (make setup puts it there)")
    environment = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "VIRTUAL_ENV"}}
    name, more = PLANS[request.param]
    values = tmp_path_factory.mktemp("values") / "more.tfvars"
    values.write_text("".join(f"{variable} = {value}\n" for variable, value in more.items()), encoding="utf-8")
    done = subprocess.run(
        [
            CHECKOV, "--directory", TERRAFORM, "--var-file", TERRAFORM / f"{name}.tfvars", "--var-file", values,
            "--framework", "terraform", "--output", "json", "--skip-download",
        ],
        capture_output=True, text=True, check=False, timeout=300, env=environment,
    )  # fmt: skip
    report = json.loads(done.stdout)
    assert report["summary"]["passed"] > 150, done.stderr
    return {
        "failed": report["results"]["failed_checks"],
        "skipped": report["results"].get("skipped_checks", []),
        "errors": report["results"]["parsing_errors"],
    }


def test_the_scanner_finds_nothing(scanned: dict[str, list[dict[str, str]]]) -> None:
    assert scanned["errors"] == []
    assert [f"{check['check_id']} {check['resource']}: {check['check_name']}" for check in scanned["failed"]] == []


def test_each_skip_gives_its_reason() -> None:
    skips = [(path, match) for path in tree(".tf") for match in SKIP.finditer(path.read_text("utf-8"))]
    assert skips
    for path, match in skips:
        reason = match.group("reason")
        assert reason.startswith(":"), f"{path}: {match.group('check')} has no reason"
        assert len(reason.split()) >= 5, f"{path}: {match.group('check')} hardly has a reason"
