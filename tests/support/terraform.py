"""Terraform for tests: a copy of the tree without remote state, what it plans, and who may do what by that plan."""

import fnmatch
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn

import pytest

ROOT = Path(__file__).resolve().parents[2]
TERRAFORM = ROOT / "terraform"
ENVIRONMENTS = ("dev", "prod")
MODULES = tuple(sorted(path.name for path in (TERRAFORM / "modules").iterdir() if (path / "main.tf").is_file()))
PLATFORM: dict[str, Any] = json.loads((ROOT / "platform.json").read_text("utf-8"))
REQUIRE = "DEFTUNES_REQUIRE_TERRAFORM"
# What a person keeps in the tree beside it: providers, values, state. No test may depend on it.
PRIVATE = (".terraform*", "*.local.tfvars", "terraform.tfvars", "*.auto.tfvars", "*.tfstate*", "*.tfplan")
# The account that the plans are made for: the number of AWS's own examples.
ACCOUNT, REGION = "123456789012", "us-east-1"
VARIABLES = {
    "region": REGION,
    "release": "1.4.0",
    "api_url": "https://purchases.example.com",
    "api_has_token": "true",
    "emails": '["oncall@example.com"]',
}
READERS = "10.30.0.0/16"
OPTIONS = {
    "transform_on": "ecs",
    "dashboards": f'''{{
      certificate_arn = "arn:aws:acm:{REGION}:{ACCOUNT}:certificate/one",
      client_cidrs = ["{READERS}"]
    }}''',
}
# Each environment as it is committed, and one with what both leave out: its values, and those on top of them.
PLANS: dict[str, tuple[str, dict[str, str]]] = {
    "dev": ("dev", {}),
    "prod": ("prod", {}),
    "dashboards": ("prod", OPTIONS),
}

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a terraform command ended."""

    ok: bool
    output: str


@dataclass(frozen=True)
class Resource:
    """One planned resource instance. `unknown` are the attributes that only apply can tell."""

    address: str
    type: str
    values: Json
    unknown: frozenset[str]


class Plan:
    """What an environment would create in an empty account."""

    def __init__(self, value: Json) -> None:
        self.value = value

    @cached_property
    def resources(self) -> tuple[Resource, ...]:
        """Every resource that would be created."""
        found = []
        for change in self.value["resource_changes"]:
            if change["mode"] == "managed" and change["change"]["actions"] == ["create"]:
                unknown = frozenset(name for name, what in change["change"]["after_unknown"].items() if what)
                found.append(Resource(change["address"], change["type"], change["change"]["after"], unknown))
        return tuple(found)

    @property
    def has_dashboards(self) -> bool:
        """Whether they are switched on; off, none of their resources may be there."""
        return any(resource.address.startswith("module.dashboards") for resource in self.resources)

    def of(self, kind: str) -> tuple[Resource, ...]:
        """All resources of a type; fails where there is none, or a loop over them would prove nothing."""
        found = tuple(resource for resource in self.resources if resource.type == kind)
        assert found, f"the plan has no {kind}"
        return found

    @cached_property
    def policies(self) -> tuple[tuple[Resource, str, Json], ...]:
        """Every policy document that is known: (resource, attribute, document)."""
        found = []
        for resource in self.resources:
            for attribute in ("policy", "assume_role_policy", "access_policy"):
                text = resource.values.get(attribute)
                if isinstance(text, str) and '"Statement"' in text:
                    found.append((resource, attribute, json.loads(text)))
        return tuple(found)

    def statements(self, attribute: str = "policy") -> Iterator[tuple[Resource, Json]]:
        """Statements of every known document."""
        for resource, name, document in self.policies:
            if name == attribute:
                for statement in document["Statement"]:
                    yield resource, statement

    def may(self, role: str, action: str, resource: str) -> bool:
        """Whether the role's own policies allow an action on a resource; conditions are taken to hold."""
        return any(
            statement["Effect"] == "Allow"
            and any(fnmatch.fnmatchcase(action, pattern) for pattern in many(statement["Action"]))
            and any(fnmatch.fnmatchcase(resource, pattern) for pattern in many(statement["Resource"]))
            for owner, statement in self.statements()
            if owner.type == "aws_iam_role_policy" and owner.values["role"] == role
        )


def many(value: object) -> list[str]:
    """IAM writes one as itself and several as a list."""
    return [value] if isinstance(value, str) else list(value)  # type: ignore[call-overload]


def missing(reason: str) -> NoReturn:
    """Skip where Terraform cannot run, and fail where somebody said that it must."""
    if os.environ.get(REQUIRE):
        pytest.fail(f"{REQUIRE} is set, but {reason}")
    pytest.skip(f"{reason}; set {REQUIRE}=1 to make this a failure")


class Workspace:
    """A copy of the tree, so that neither state nor locks nor providers are written into the project."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        if shutil.which("terraform") is None:
            missing("no terraform on the PATH")
        (folder / "plugins").mkdir()
        for name in ("platform.json", "jobs/deftunes/quality/rulesets", "dags", "terraform"):
            source, target = ROOT / name, folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns(*PRIVATE, "__pycache__"))
            elif source.is_file():
                shutil.copy(source, target)
        override = self.root / "backend_override.tf"
        override.write_text('terraform {\n  backend "local" {}\n}\n', encoding="utf-8")
        first = self.run(self.module(MODULES[0]), "init", "-input=false")
        if not first.ok:
            missing(f"the provider hashicorp/aws cannot be installed: {first.output.strip()[-300:]}")

    def module(self, name: str) -> Path:
        """The folder of a module."""
        return self.root / "modules" / name

    @property
    def root(self) -> Path:
        """The folder of the configuration that both environments share."""
        return self.folder / "terraform"

    @property
    def bootstrap(self) -> Path:
        """The folder of the bootstrap configuration."""
        return self.root / "bootstrap"

    def run(self, folder: Path, command: str, *arguments: str, data: str = ".terraform") -> Outcome:
        """One terraform command in one folder; `data` is where Terraform remembers the backend."""
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("TF_VAR_")},
            "CHECKPOINT_DISABLE": "1",
            "TF_DATA_DIR": data,
            "TF_IN_AUTOMATION": "1",
            "TF_PLUGIN_CACHE_DIR": str(self.folder / "plugins"),
        }
        done = subprocess.run(
            ["terraform", command, *([] if command == "show" else ["-no-color"]), *arguments],
            cwd=folder, env=environment, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, check=False, timeout=300,
        )  # fmt: skip
        return Outcome(done.returncode == 0, done.stdout if command == "show" else done.stdout + done.stderr)

    @cached_property
    def tested(self) -> dict[str, Outcome]:
        """`terraform test` of every module and of bootstrap, two at a time: each start costs seconds of CPU."""
        folders = {**{name: self.module(name) for name in MODULES}, "bootstrap": self.bootstrap}
        for folder in folders.values():  # one after the other: they share the plugin cache
            made = self.run(folder, "init", "-input=false")
            assert made.ok, made.output
        with ThreadPoolExecutor(2) as pool:
            outcomes = pool.map(lambda folder: self.run(folder, "test"), folders.values())
            return dict(zip(folders, outcomes, strict=True))

    @cached_property
    def plans(self) -> dict[str, Plan]:
        """Every plan, validated first."""
        for name in PLANS:
            self.initialize(name)
        checked = self.run(self.root, "validate", data=f".terraform/{ENVIRONMENTS[0]}")
        assert checked.ok, checked.output
        with ThreadPoolExecutor(2) as pool:
            return dict(zip(PLANS, pool.map(self._plan, PLANS), strict=True))

    def initialize(self, state: str) -> None:
        """Make a state of its own and a data folder that remembers it, as docs/aws.md does; here it is a file."""
        arguments = ("-input=false", f"-backend-config=path={state}.tfstate")
        made = self.run(self.root, "init", *arguments, data=f".terraform/{state}")
        assert made.ok, made.output

    def with_values(self, command: str, name: str, *arguments: str, state: str) -> Outcome:
        """Plan or apply the committed values of an environment on a state, which may be another's."""
        given = [f"-var-file={name}.tfvars", *(f"-var={variable}={value}" for variable, value in VARIABLES.items())]
        return self.run(self.root, command, "-input=false", *given, *arguments, data=f".terraform/{state}")

    def _plan(self, name: str) -> Plan:
        environment, more = PLANS[name]
        given = (f"-var={variable}={value}" for variable, value in more.items())
        planned = self.with_values("plan", environment, *given, f"-out={name}.tfplan", state=name)
        assert planned.ok, planned.output
        shown = self.run(self.root, "show", "-json", f"{name}.tfplan", data=f".terraform/{name}")
        assert shown.ok, shown.output
        return Plan(json.loads(shown.output))
