"""What production would be, read from the plans: closed, encrypted, and of the shape that platform.json says."""

import ast
import inspect
import json
import re
from pathlib import Path
from typing import Any

import pytest

from support.terraform import ACCOUNT, PLATFORM, READERS, REGION, ROOT, VARIABLES, Plan, Workspace

SECRET = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret"


def port_of(plan: Plan) -> set[int]:
    """The dashboards' own port, where they are."""
    return {PLATFORM["dashboards"]["port"]} if plan.has_dashboards else set()


def test_nothing_accepts_connections_from_the_internet(plan: Plan) -> None:
    for rule in plan.of("aws_vpc_security_group_ingress_rule"):
        source = rule.values.get("cidr_ipv4") or ""
        is_of_readers = rule.address.startswith("module.dashboards[0].aws_vpc_security_group_ingress_rule.readers[")
        assert source in {"", READERS if is_of_readers else "10.20.0.0/16"}, rule.address
        assert rule.values.get("cidr_ipv6") is None, rule.address
        assert source or "referenced_security_group_id" in {*rule.unknown, *(k for k, v in rule.values.items() if v)}
        assert rule.values["from_port"] == rule.values["to_port"] in {443, 5432, 5439, *port_of(plan)}, rule.address
    for group in plan.of("aws_security_group"):
        assert not group.values.get("ingress"), group.address  # rules are resources of their own
    assert not [resource for resource in plan.resources if resource.type == "aws_security_group_rule"]


def test_tasks_leave_by_the_ports_they_need(plan: Plan) -> None:
    ports = {rule.values["from_port"] for rule in plan.of("aws_vpc_security_group_egress_rule")}
    assert ports == {443, 5432, 5439, *port_of(plan)}


def test_databases_are_private_and_encrypted(plan: Plan) -> None:
    (workgroup,) = plan.of("aws_redshiftserverless_workgroup")
    assert workgroup.values["publicly_accessible"] is False
    assert {"parameter_key": "require_ssl", "parameter_value": "true"} in workgroup.values["config_parameter"]
    for database in (resource for resource in plan.resources if resource.type == "aws_db_instance"):
        assert database.values["publicly_accessible"] is False
        assert database.values["storage_encrypted"] is True


@pytest.mark.parametrize(
    ("kind", "attribute"),
    [
        ("aws_cloudwatch_log_group", "kms_key_id"),
        ("aws_secretsmanager_secret", "kms_key_id"),
        ("aws_sns_topic", "kms_master_key_id"),
        ("aws_redshiftserverless_namespace", "kms_key_id"),
        ("aws_redshiftserverless_namespace", "admin_password_secret_kms_key_id"),
        ("aws_mwaa_environment", "kms_key"),
        ("aws_s3_object", "kms_key_id"),
    ],
)
def test_everything_kept_is_encrypted_with_the_platforms_key(plan: Plan, kind: str, attribute: str) -> None:
    for resource in plan.of(kind):
        # Known after apply, because it is the key's ARN; left out it would be null.
        assert attribute in resource.unknown or resource.values[attribute] == "alias/deftunes", resource.address


def test_buckets_are_closed_encrypted_and_versioned(plan: Plan) -> None:
    buckets = {resource.values["bucket"] for resource in plan.of("aws_s3_bucket")}
    assert buckets == {f"deftunes-{suffix}-{ACCOUNT}-{REGION}" for suffix in PLATFORM["buckets"].values()}
    for block in plan.of("aws_s3_bucket_public_access_block"):
        assert all(
            block.values[name]
            for name in ("block_public_acls", "block_public_policy", "ignore_public_acls", "restrict_public_buckets")
        )
    for versioning in plan.of("aws_s3_bucket_versioning"):
        assert versioning.values["versioning_configuration"][0]["status"] == "Enabled"
    algorithms = [
        rule["apply_server_side_encryption_by_default"][0]["sse_algorithm"]
        for resource in plan.of("aws_s3_bucket_server_side_encryption_configuration")
        for rule in resource.values["rule"]
    ]
    assert sorted(algorithms) == ["AES256", "aws:kms", "aws:kms"]  # S3 delivers access logs with its own key only
    for kind in ("aws_s3_bucket_public_access_block", "aws_s3_bucket_versioning", "aws_s3_bucket_policy"):
        assert len(plan.of(kind)) == len(buckets)


def test_no_lifecycle_rule_deletes_live_data(plan: Plan) -> None:
    expiring = [
        rule["filter"][0].get("prefix")
        for resource in plan.of("aws_s3_bucket_lifecycle_configuration")
        for rule in resource.values["rule"]
        if rule["expiration"]
    ]
    assert sorted(expiring) == ["runs/", "s3/"]


def test_no_secret_is_in_the_plan(plan: Plan) -> None:
    silent = {
        "secret_string",
        "secret_binary",
        "password",
        "password_wo",
        "admin_user_password",
        "admin_user_password_wo",
        "master_password",
    }
    for resource in plan.resources:
        for name in silent & set(resource.values):
            assert resource.values[name] is None, f"{resource.address}.{name}"
            assert name not in resource.unknown, f"{resource.address}.{name}"
    assert not [
        resource.type for resource in plan.resources if resource.type in {"aws_iam_access_key", "aws_ssm_parameter"}
    ]
    for source in plan.value["configuration"].get("root_module", {}).get("resources", []):
        assert source["type"] != "aws_secretsmanager_secret_version", "reading a secret puts it into state"


def test_secrets_have_the_names_that_stages_ask_for(plan: Plan) -> None:
    made = {resource.values["name"] for resource in plan.of("aws_secretsmanager_secret")}
    assert made == {
        secret["name"] for identifier, secret in PLATFORM["secrets"].items() if identifier != "songs_password"
    } | ({PLATFORM["dashboards"]["secret_key"]["name"]} if plan.has_dashboards else set())


def container(plan: Plan, task: str) -> dict[str, Any] | None:
    """The container of a task; None where one of its secrets is named by AWS, later."""
    (resource,) = [r for r in plan.of("aws_ecs_task_definition") if r.address.endswith(f'["{task}"]')]
    if "container_definitions" in resource.unknown:
        return None
    (found,) = json.loads(resource.values["container_definitions"])
    return {
        **found,
        "cpu": int(resource.values["cpu"]),
        "memory": int(resource.values["memory"]),
        "family": resource.values["family"],
    }


def test_tasks_are_those_of_platform_json(plan: Plan, request: pytest.FixtureRequest) -> None:
    hidden = []
    for task, shape in PLATFORM["tasks"].items():
        found = container(plan, task)
        if found is None:
            hidden.append(task)
            continue
        repository = PLATFORM["images"][shape["image"]]["repository"]
        assert found["image"] == f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/{repository}:{VARIABLES['release']}"
        assert found["name"] == PLATFORM["container"]
        for name in ("family", "command", "cpu", "memory"):
            assert found[name] == shape[name], (task, name)
        assert [entry["name"] for entry in found["environment"]] == shape["environment"]
        assert all(entry["value"] for entry in found["environment"])
        secrets = {
            PLATFORM["secrets"][name]["variable"]: f"{SECRET}:{PLATFORM['secrets'][name]['name']}"
            for name in shape["secrets"]
            if name != "songs_password"
        }
        assert {entry["name"]: entry["valueFrom"] for entry in found["secrets"]} == secrets
        assert found["logConfiguration"]["options"]["awslogs-group"] == PLATFORM["log_groups"][shape["log_group"]]
        assert found["readonlyRootFilesystem"] is True
        assert [mount["containerPath"] for mount in found["mountPoints"]] == [PLATFORM["work_folder"]]
    assert hidden == (["extract_songs"] if request.node.callspec.params["plan"] == "dev" else [])


def test_glue_jobs_are_those_of_platform_json(plan: Plan) -> None:
    shapes = PLATFORM["glue"]["jobs"]
    found = {resource.values["name"]: resource.values for resource in plan.of("aws_glue_job")}
    assert set(found) == {shape["name"] for shape in shapes.values()}
    release = f"s3://deftunes-artifacts-{ACCOUNT}-{REGION}/releases/{VARIABLES['release']}/glue"
    for shape in shapes.values():
        job = found[shape["name"]]
        arguments = job["default_arguments"]
        assert arguments.items() >= shape["arguments"].items()
        assert [name for name in arguments if name.startswith(("--DEFTUNES_", "--AWS_"))] == [
            f"--{name}" for name in shape["environment"]
        ]
        assert job["command"][0]["script_location"] == f"{release}/{PLATFORM['glue']['script']}"
        assert arguments["--extra-jars"].split(",") == [f"{release}/jars/{jar}" for jar in PLATFORM["glue"]["jars"]]
        assert arguments["--datalake-formats"] == "iceberg"
        assert (job["glue_version"], job["max_retries"], job["execution_property"][0]["max_concurrent_runs"]) == (
            "5.1",
            0,
            1,
        )


def test_log_groups_cluster_and_database_are_those_of_platform_json(plan: Plan) -> None:
    groups = {resource.values["name"] for resource in plan.of("aws_cloudwatch_log_group")}
    more = {PLATFORM["dashboards"]["log_group"]} if plan.has_dashboards else set()
    assert groups == {*PLATFORM["log_groups"].values(), "/deftunes/network"} | more
    assert [resource.values["name"] for resource in plan.of("aws_ecs_cluster")] == [PLATFORM["cluster"]]
    assert [resource.values["name"] for resource in plan.of("aws_glue_catalog_database")] == [PLATFORM["database"]]


def test_rulesets_are_the_jobs_rules_with_the_jobs_threshold(plan: Plan) -> None:
    from deftunes.core.entities import Entity
    from deftunes.core.rules import load_ruleset

    (price,) = {resource.values["default_arguments"]["--DEFTUNES_MAX_PRICE"] for resource in plan.of("aws_glue_job")}
    registered = {resource.values["name"]: resource.values for resource in plan.of("aws_glue_data_quality_ruleset")}
    assert len(registered) == len(Entity)
    for entity in Entity:
        values = registered[PLATFORM["rulesets"][entity]["name"]]
        expected = load_ruleset(entity, max_price=price).to_dqdl()
        assert re.sub(r"\s+", "", values["ruleset"]) == re.sub(r"\s+", "", expected)
        assert not values["target_table"]


def test_the_warehouses_schemas_are_those_of_platform_json(plan: Plan) -> None:
    statements = [resource.values for resource in plan.of("aws_redshiftdata_statement")]
    made = {
        sql["statement_name"].removeprefix("schema-")
        for sql in statements
        if sql["statement_name"].startswith("schema-")
    }
    assert made == set(PLATFORM["schemas"].values())


def test_metrics_are_counted_from_fields_that_stages_print(plan: Plan) -> None:
    from deftunes.core.stages import Stage

    # Read, not imported: importing it takes Spark's time.
    source = ast.parse((ROOT / "jobs/deftunes/transform/stage.py").read_text("utf-8"))
    (result,) = [node for node in source.body if isinstance(node, ast.ClassDef) and node.name == "Transformed"]
    fields = {
        node.target.id for node in result.body if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }
    printed = {"stage", "entity", "seconds", *fields}
    filters = plan.of("aws_cloudwatch_log_metric_filter")
    # Transform is counted in the log of a container and in that of a Glue job, whichever runs it.
    counted = [(r.values["metric_transformation"][0]["name"], r.values["log_group_name"]) for r in filters]
    groups = {
        "published": ["publish"],
        "received": ["transform", "glue_output"],
        "rejected": ["transform", "glue_output"],
    }
    assert sorted(counted) == sorted(
        (f"{what}-{entity}", PLATFORM["log_groups"][group])
        for what, names in groups.items()
        for group in names
        for entity in ("songs", "users", "sessions")
    )
    for resource in filters:
        pattern = resource.values["pattern"]
        assert set(re.findall(r"\$\.(\w+)", pattern)) <= printed
        value = resource.values["metric_transformation"][0]["value"]
        assert value == "1" or value.removeprefix("$.") in printed
        assert re.search(r'\$\.stage = "(\w+)"', pattern).group(1) in {stage.value for stage in Stage}  # type: ignore[union-attr]


def test_both_ways_of_transform_and_quality_are_there_whatever_runs(plan: Plan, request: pytest.FixtureRequest) -> None:
    """So that the option is no migration."""
    said = plan.value["variables"]["transform_on"]["value"]
    assert said == ("ecs" if request.node.callspec.params["plan"] == "dashboards" else "glue")
    assert len(plan.of("aws_glue_job")) == len(PLATFORM["glue"]["jobs"])
    assert len(plan.of("aws_ecs_task_definition")) >= len(PLATFORM["tasks"])


def test_batch_runs_what_the_tasks_run(terraform: Any) -> None:
    plan = terraform.plans["prod"]
    jobs = {
        resource.values["name"]: json.loads(resource.values["container_properties"])
        for resource in plan.of("aws_batch_job_definition")
    }
    assert set(jobs) == {shape["family"] for shape in PLATFORM["tasks"].values()}
    for task, shape in PLATFORM["tasks"].items():
        job, found = jobs[shape["family"]], container(plan, task)
        assert found
        for name in ("image", "command", "environment", "secrets"):
            assert job[name] == found[name], (task, name)
        assert job["jobRoleArn"].endswith(f"role/{shape['family']}")


def test_production_protects_its_data_and_a_trial_leaves_nothing(terraform: Any) -> None:
    dev, prod = terraform.plans["dev"], terraform.plans["prod"]
    assert [r.type for r in prod.resources].count("terraform_data") == 1
    assert [r.type for r in dev.resources].count("terraform_data") == 0
    for plan, forced in ((dev, True), (prod, False)):
        assert {r.values["force_destroy"] for r in plan.of("aws_s3_bucket")} == {forced}
        assert {r.values["force_delete"] for r in plan.of("aws_ecr_repository")} == {forced}
    guard = (ROOT / "terraform/modules/lake/main.tf").read_text("utf-8")
    assert re.search(r'resource "terraform_data" "protected" \{.*?prevent_destroy = true', guard, re.DOTALL)


def test_airflow_is_told_what_the_dags_read(plan: Plan) -> None:
    (airflow,) = plan.of("aws_mwaa_environment")
    assert airflow.values["airflow_version"] == "3.0.6"
    # Ids are known after apply, and hide the whole map; what the DAGs demand is a validation of the module.
    uploaded_names = {Path(r.values["key"]).name for r in plan.of("aws_s3_object") if "/dags/" in r.values["key"]}
    assert uploaded_names == {"platform.json"} | {
        path.name for path in (ROOT / "dags").iterdir() if path.suffix in {".py", ".txt"}
    }
    assert airflow.values["requirements_s3_path"] == "airflow/dags/requirements-mwaa.txt"
    (uploaded,) = [r.values for r in plan.of("aws_s3_object") if r.values["key"].endswith("/platform.json")]
    assert (ROOT / "terraform" / uploaded["source"]).resolve() == ROOT / "platform.json"


def test_dashboards_are_those_of_platform_json(terraform: Workspace) -> None:
    plan, shape = terraform.plans["dashboards"], PLATFORM["dashboards"]
    mine = [resource for resource in plan.resources if resource.address.startswith("module.dashboards")]
    tasks = {
        resource.address.split('"')[1]: resource.values
        for resource in mine
        if resource.type == "aws_ecs_task_definition"
    }
    assert tasks.keys() == shape["tasks"].keys()
    for task, values in tasks.items():
        wanted = shape["tasks"][task]
        assert {name: values[name] for name in ("family", "cpu", "memory", "network_mode")} == {
            "family": wanted["family"], "cpu": str(wanted["cpu"]), "memory": str(wanted["memory"]),
            "network_mode": "awsvpc",
        }  # fmt: skip
    # Only the server may log in to the warehouse.
    assert tasks["assets"]["task_role_arn"] is None

    (service,) = [resource.values for resource in mine if resource.type == "aws_ecs_service"]
    assert (service["name"], service["cluster"], service["desired_count"]) == (shape["service"], PLATFORM["cluster"], 0)
    assert service["load_balancer"][0]["container_port"] == shape["port"]
    assert shape["image"] in PLATFORM["images"]
    assert PLATFORM["images"][shape["image"]]["repository"] in {
        resource.values["name"] for resource in plan.of("aws_ecr_repository")
    }
    assert shape["warehouse"]["secret"] in PLATFORM["secrets"]


def test_images_have_a_repository_where_they_run(terraform: Workspace) -> None:
    every = {image["repository"] for image in PLATFORM["images"].values()}
    optional = {image["repository"] for image in PLATFORM["images"].values() if image.get("optional")}
    assert optional == {"deftunes/purchase-api", "deftunes/superset"}
    for name, missing in {
        "dev": {"deftunes/superset"}, "prod": optional, "dashboards": {"deftunes/purchase-api"}
    }.items():  # fmt: skip
        made = {resource.values["name"] for resource in terraform.plans[name].of("aws_ecr_repository")}
        assert made == every - missing, name


def test_a_deploy_learns_of_dashboards_where_they_are(terraform: Workspace) -> None:
    for name, plan in terraform.plans.items():
        change = plan.value["output_changes"]["dashboards"]
        assert (change["after_unknown"] is not False) is (name == "dashboards"), change


def test_the_launcher_is_the_script_that_jobs_name() -> None:
    import deftunes.cli.glue as launcher

    script = ROOT / "jobs" / PLATFORM["glue"]["script"]
    assert "from deftunes.cli.glue import main" in script.read_text("utf-8")
    assert Path(inspect.getfile(launcher)).is_file()
