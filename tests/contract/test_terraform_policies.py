"""Least privilege, read from the plans: every IAM policy that an environment would create."""

import itertools

import pytest

from support.terraform import ACCOUNT, PLATFORM, REGION, Plan, Workspace, many

LAKE = f"arn:aws:s3:::deftunes-lake-{ACCOUNT}-{REGION}"
ARTIFACTS = f"arn:aws:s3:::deftunes-artifacts-{ACCOUNT}-{REGION}"
TABLES = f"{LAKE}/transform/deftunes_transform.db"
GLUE = f"arn:aws:glue:{REGION}:{ACCOUNT}"
SECRET = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret"
WORKGROUP = f"arn:aws:redshift-serverless:{REGION}:{ACCOUNT}:workgroup/one"

# AWS knows no resource for these; each says who asks, looks, or counts, and none reads or changes data.
WITHOUT_RESOURCE = {
    "ecr:GetAuthorizationToken", "cloudwatch:PutMetricData", "logs:DescribeLogGroups", "s3:GetAccountPublicAccessBlock",
    "batch:DescribeJobs",
}  # fmt: skip
# The password of a database is in a secret that AWS names when it makes it.
NAMED_BY_AWS = {
    "dev": {
        'module.extract_job.aws_iam_role_policy.start["extract_songs"]',
        "module.source.aws_iam_role_policy.seed[0]",
    },
    "prod": set(),
    "dashboards": {"module.dashboards[0].aws_iam_role_policy.start"},
}
CONTAINERS = {task: shape["family"] for task, shape in PLATFORM["tasks"].items()}
JOBS = {task: shape["name"] for task, shape in PLATFORM["glue"]["jobs"].items()}
# Who works as what: transform and quality have two, a task's and a Glue job's.
ROLES = [*CONTAINERS.items(), *JOBS.items()]
STAGES = ("extract", "transform", "quality", "publish", "load")
ENTITIES = ("songs", "users", "sessions")


def roles_of(*stages: str) -> list[str]:
    found = [name for task, name in ROLES if task.partition("_")[0] in stages]
    assert found
    return found


def test_every_policy_can_be_read_before_it_exists(plan: Plan, request: pytest.FixtureRequest) -> None:
    kinds = {"aws_iam_role_policy", "aws_iam_role", "aws_s3_bucket_policy", "aws_kms_key", "aws_sns_topic_policy"}
    found = [resource for resource in plan.resources if resource.type in kinds]
    assert len(found) > 60
    hidden = {resource.address for resource in found if resource.unknown & {"policy", "assume_role_policy"}}
    assert hidden == NAMED_BY_AWS[request.node.callspec.params["plan"]]


def test_policies_are_written_in_the_modules_and_nowhere_else(plan: Plan) -> None:
    kinds = {resource.type for resource in plan.resources if resource.type.startswith("aws_iam_")}
    assert kinds == {"aws_iam_role", "aws_iam_role_policy"}  # no managed policy, no user, no access key
    assert not any(resource.values.get("managed_policy_arns") for resource in plan.of("aws_iam_role"))


def test_actions_are_enumerated(plan: Plan) -> None:
    for resource, statement in plan.statements():
        if statement["Effect"] == "Allow":
            assert "NotAction" not in statement, resource.address
            assert not [action for action in many(statement["Action"]) if "*" in action], resource.address


def test_resources_are_enumerated(plan: Plan) -> None:
    seen = set()
    for resource, statement in plan.statements():
        if statement["Effect"] != "Allow" or resource.type == "aws_kms_key":  # there "*" is the key itself
            continue
        assert "NotResource" not in statement, resource.address
        if "*" in many(statement["Resource"]):
            seen |= set(many(statement["Action"]))
            assert set(many(statement["Action"])) <= WITHOUT_RESOURCE, resource.address
        for name in many(statement["Resource"]):
            assert name == "*" or name.startswith("arn:aws:"), resource.address
            assert not name.startswith("arn:aws:s3:::*"), resource.address
    assert "cloudwatch:PutMetricData" in seen


def test_the_key_is_used_by_its_alias_only(plan: Plan) -> None:
    found = [
        (resource, statement)
        for resource, statement in plan.statements()
        if resource.type == "aws_iam_role_policy"
        and any(action.startswith("kms:") for action in many(statement["Action"]))
    ]
    assert len(found) > 15
    for resource, statement in found:
        condition = statement["Condition"]["ForAnyValue:StringEquals"]
        assert many(condition["kms:ResourceAliases"]) == ["alias/deftunes"], resource.address


def test_a_role_is_passed_to_one_service_by_name(plan: Plan) -> None:
    found = [(r, s) for r, s in plan.statements() if "iam:PassRole" in many(s["Action"])]
    assert {resource.values["role"] for resource, _ in found} == {"deftunes-airflow"}
    for resource, statement in found:
        assert statement["Action"] == ["iam:PassRole"], resource.address
        assert statement["Condition"]["StringEquals"]["iam:PassedToService"] in {
            "ecs-tasks.amazonaws.com",
            "glue.amazonaws.com",
        }
        assert not any("*" in role for role in many(statement["Resource"])), resource.address


def test_only_aws_services_for_this_account_take_a_role(plan: Plan) -> None:
    trusts = list(plan.statements("assume_role_policy"))
    assert len(trusts) == len(plan.of("aws_iam_role"))
    for resource, statement in trusts:
        assert set(statement["Principal"]) == {"Service"}, resource.address
        if resource.values["name"] == "deftunes-warehouse":  # Redshift names the user it acts for instead
            users = f"arn:aws:redshift:{REGION}:{ACCOUNT}:dbuser:*"
            assert statement["Condition"] == {"StringLike": {"sts:ExternalId": users}}
        else:
            assert statement["Condition"] == {"StringEquals": {"aws:SourceAccount": ACCOUNT}}, resource.address


def test_one_role_per_job(plan: Plan) -> None:
    names = [resource.values["name"] for resource in plan.of("aws_iam_role")]
    assert len(names) == len(set(names))
    assert {name for _, name in ROLES} <= set(names)
    assert {f"{family}-start" for family in CONTAINERS.values()} <= set(names)


def test_no_role_may_delete_landing(plan: Plan) -> None:
    roles = {resource.values["role"] for resource in plan.of("aws_iam_role_policy")}
    for role, action in itertools.product(
        roles, ("s3:DeleteObject", "s3:DeleteObjectVersion", "s3:PutBucketPolicy", "s3:PutLifecycleConfiguration")
    ):
        for entity in ENTITIES:
            assert not plan.may(role, action, f"{LAKE}/landing/{entity}/day/landing/part-00000.jsonl.gz"), role
        assert not plan.may(role, action, LAKE), role


def test_the_lake_denies_deleting_landing_to_everybody(plan: Plan) -> None:
    (denied,) = [
        s for r, s in plan.statements() if r.type == "aws_s3_bucket_policy" and s["Sid"] == "NobodyDeletesLanding"
    ]
    assert (denied["Effect"], denied["Principal"]) == ("Deny", "*")
    assert denied["Resource"] == [f"{LAKE}/landing/*"]
    assert "Condition" not in denied


def test_every_bucket_refuses_requests_without_tls(plan: Plan) -> None:
    refused = {
        r.address
        for r, s in plan.statements()
        if r.type == "aws_s3_bucket_policy" and s["Sid"] == "TlsOnly" and s["Effect"] == "Deny"
    }
    assert len(refused) == len(plan.of("aws_s3_bucket")) == 3


def test_extract_cannot_read_gold(plan: Plan) -> None:
    for role in roles_of("extract", "transform", "quality", "publish"):
        for action in (
            "redshift-serverless:GetCredentials",
            "redshift-data:ExecuteStatement",
            "redshift:GetClusterCredentials",
        ):
            assert not plan.may(role, action, WORKGROUP), role
    for task, family in CONTAINERS.items():
        may = task.startswith(("load_", "model", "check_"))
        assert may is plan.may(
            f"{family}-start", "secretsmanager:GetSecretValue", f"{SECRET}:deftunes/warehouse-dsn-AbCdEf"
        )
    for role in roles_of("load", "model", "check"):
        assert plan.may(role, "redshift-serverless:GetCredentials", WORKGROUP), role


def test_the_check_writes_nothing_but_how_it_ended(plan: Plan) -> None:
    for role in roles_of("check"):
        for key in (f"{LAKE}/landing/users/x", f"{LAKE}/published/users/x", f"{TABLES}/users/metadata/x"):
            assert not plan.may(role, "s3:PutObject", key)
            assert not plan.may(role, "s3:DeleteObject", key)
        assert not plan.may(role, "glue:UpdateTable", f"{GLUE}:table/deftunes_transform/users")
        assert plan.may(role, "s3:PutObject", f"{LAKE}/runs/2020-01-01/x.json")
    assert plan.may("deftunes-check-api", "s3:GetObject", f"{LAKE}/landing/users/x")
    assert not plan.may("deftunes-check-songs", "s3:GetObject", f"{LAKE}/landing/users/x")
    grants = [
        r.values["sql"] for r in plan.of("aws_redshiftdata_statement") if "to role deftunes_checker" in r.values["sql"]
    ]
    reading = ("grant usage on schema", "grant select for tables in schema")
    (writing,) = [sql for sql in grants if not sql.startswith(reading)]
    assert (
        writing == "grant select, insert, update, delete for tables in schema deftunes_control to role deftunes_checker"
    )


def test_who_has_the_warehouse_can_tell_it_how_runs_ended_and_what_is_held_back(plan: Plan) -> None:
    for role in roles_of("load", "model", "check"):
        assert plan.may(role, "s3:GetObject", f"{LAKE}/runs/2020-01-01/x.json"), role
        assert plan.may(role, "s3:GetObject", f"{TABLES}/quarantine/data/x.parquet"), role
        assert plan.may(role, "glue:GetTable", f"{GLUE}:table/deftunes_transform/quarantine"), role
        assert not plan.may(role, "s3:PutObject", f"{TABLES}/quarantine/data/x.parquet"), role


def test_dbt_cannot_write_silver_nor_read_it_past_the_warehouse(plan: Plan) -> None:
    for table in ENTITIES:
        key = f"{TABLES}/{table}/data/x.parquet"
        for action in ("s3:PutObject", "s3:DeleteObject", "s3:GetObject"):
            assert not plan.may("deftunes-model", action, key)
        assert not plan.may("deftunes-model", "glue:UpdateTable", f"{GLUE}:table/deftunes_transform/{table}")
        assert plan.may("deftunes-warehouse", "s3:GetObject", key)
        assert not plan.may("deftunes-warehouse", "s3:PutObject", key)


def test_a_task_may_do_in_the_lake_what_the_glue_job_of_its_stage_may(plan: Plan) -> None:
    policies = {
        r.values["role"]: r.values["policy"] for r in plan.of("aws_iam_role_policy") if r.values["name"] == "lake"
    }
    for task, job in JOBS.items():
        assert policies[CONTAINERS[task]] == policies[job]


@pytest.mark.parametrize(("task", "role"), [(task, role) for task, role in ROLES if task.partition("_")[0] in STAGES])
def test_a_stage_can_do_its_work_on_its_entity_and_no_other(plan: Plan, task: str, role: str) -> None:
    stage, _, entity = task.partition("_")
    for other in ENTITIES:
        mine = other == entity
        landing, row = f"{LAKE}/landing/{other}/u/l/receipt.json", f"{TABLES}/{other}/data/x.parquet"
        table = f"{GLUE}:table/deftunes_transform/{other}"
        assert plan.may(role, "s3:GetObject", landing) is mine
        assert plan.may(role, "s3:PutObject", landing) is (mine and stage == "extract")
        assert plan.may(role, "s3:PutObject", row) is (mine and stage in {"transform", "publish"})
        assert plan.may(role, "s3:DeleteObject", row) is (mine and stage in {"transform", "publish"})
        # The first run makes the tables of all entities, so these two may commit metadata to each.
        assert plan.may(role, "glue:UpdateTable", table) is (stage in {"transform", "publish"})
        assert plan.may(role, "s3:PutObject", f"{LAKE}/batches/{other}/b.json") is (
            mine and stage in {"transform", "publish"}
        )
    for record in ("quarantine", "quality_results"):
        assert plan.may(role, "s3:PutObject", f"{TABLES}/{record}/data/x.parquet") is (
            stage in {"transform", "quality", "publish"}
        )
    assert plan.may(role, "s3:PutObject", f"{LAKE}/runs/2020-01-01/x.json")
    assert plan.may(role, "s3:ListBucket", LAKE)
    assert not plan.may(role, "s3:GetObject", f"{LAKE}/elsewhere/x")
    assert not plan.may(role, "s3:PutObject", f"{ARTIFACTS}/releases/1.4.0/glue/glue_stage.py")


def test_a_task_is_handed_its_own_secrets_only(plan: Plan) -> None:
    hidden = {resource.address for resource in plan.of("aws_iam_role_policy") if "policy" in resource.unknown}
    checked = 0
    for task, shape in PLATFORM["tasks"].items():
        if f'module.extract_job.aws_iam_role_policy.start["{task}"]' in hidden:
            continue
        for identifier, secret in PLATFORM["secrets"].items():
            if identifier == "songs_password":  # the trial's, named by AWS
                continue
            may = plan.may(
                f"{shape['family']}-start", "secretsmanager:GetSecretValue", f"{SECRET}:{secret['name']}-AbCdEf"
            )
            assert may is (identifier in shape["secrets"]), (task, identifier)
            assert not plan.may(shape["family"], "secretsmanager:GetSecretValue", f"{SECRET}:{secret['name']}-AbCdEf")
            checked += 1
    assert checked >= 27


def test_airflow_starts_jobs_and_touches_no_data(plan: Plan) -> None:
    for task, family in CONTAINERS.items():
        assert plan.may(
            "deftunes-airflow", "ecs:RunTask", f"arn:aws:ecs:{REGION}:{ACCOUNT}:task-definition/{family}:7"
        ), task
    for job in JOBS.values():
        assert plan.may("deftunes-airflow", "glue:StartJobRun", f"{GLUE}:job/{job}")
    assert not plan.may("deftunes-airflow", "ecs:RunTask", f"arn:aws:ecs:{REGION}:{ACCOUNT}:task-definition/another:1")
    for action, thing in (
        ("s3:GetObject", f"{LAKE}/landing/users/x"),
        ("s3:PutObject", f"{ARTIFACTS}/airflow/dags/x.py"),
        ("secretsmanager:GetSecretValue", f"{SECRET}:deftunes/songs-dsn-AbCdEf"),
        ("redshift-serverless:GetCredentials", WORKGROUP),
        ("iam:PassRole", f"arn:aws:iam::{ACCOUNT}:role/deftunes-airflow"),
    ):
        assert not plan.may("deftunes-airflow", action, thing)


def test_grants_in_the_warehouse_follow_the_roles(plan: Plan) -> None:
    statements = [resource.values["sql"] for resource in plan.of("aws_redshiftdata_statement")]
    users = sorted(sql.split('"')[1] for sql in statements if sql.startswith("create user"))
    roles = [*roles_of("load", "model", "check"), PLATFORM["dashboards"]["role"]]
    assert users == sorted(f"IAMR:{name}" for name in roles)
    assert not [sql for sql in statements if "superuser" in sql or " public" in sql or "password '" in sql]
    written = [sql for sql in statements if sql.startswith("grant") and "deftunes_transform" in sql]
    assert written
    assert all("grant usage on schema deftunes_transform" in sql for sql in written)


def test_dashboards_log_in_to_the_warehouse_and_do_nothing_else(terraform: Workspace) -> None:
    plan = terraform.plans["dashboards"]
    allowed = [
        statement
        for resource, statement in plan.statements()
        if resource.type == "aws_iam_role_policy" and resource.values["role"] == "deftunes-dashboards"
    ]
    assert [statement["Action"] for statement in allowed] == [["redshift-serverless:GetCredentials"]]
    assert allowed[0]["Condition"] == {"StringEquals": {"aws:ResourceTag/Project": "deftunes"}}
    assert plan.may("deftunes-dashboards", "redshift-serverless:GetCredentials", WORKGROUP)
    statements = [resource.values["sql"] for resource in plan.of("aws_redshiftdata_statement")]
    assert {sql for sql in statements if sql.endswith("to role deftunes_bi")} == {
        "grant usage on schema deftunes_bi_views to role deftunes_bi",
        "grant select for tables in schema deftunes_bi_views to role deftunes_bi",
    }
    assert [sql for sql in statements if sql.startswith("grant") and "deftunes-dashboards" in sql] == [
        'grant role deftunes_bi to "IAMR:deftunes-dashboards"'
    ]


def test_the_warehouse_is_open_to_tasks_and_where_there_are_to_dashboards(plan: Plan) -> None:
    opened = {
        resource.address.split('"')[1]
        for resource in plan.of("aws_vpc_security_group_ingress_rule")
        if resource.address.startswith("module.serving.")
    }
    assert opened == ({"tasks", "dashboards"} if plan.has_dashboards else {"tasks"})
