"""Dashboards of a release on a local ECS: imported first, shown then, and left as they are when the import fails."""

import json
from collections.abc import Iterator

import pytest

from dashboards import Dashboards, deploy_dashboards
from deftunes.core.errors import DeftunesError
from deftunes.core.settings import REPOSITORY
from support.airflow import LocalAws

PLATFORM = json.loads((REPOSITORY / "platform.json").read_text("utf-8"))
SHAPE = PLATFORM["dashboards"]
OLD, NEW = "registry.example.com/deftunes/superset:1.4.0", "registry.example.com/deftunes/superset:1.5.0"
LASTS, FAILS, ENDS_WELL = "never", "1", "0"


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAws]:
    """ECS, Secrets Manager and the rest, whose tasks end as their definitions say."""
    aws = LocalAws(tmp_path_factory.mktemp("aws"))
    yield aws
    aws.process.terminate()
    aws.process.wait()


@pytest.fixture
def there(aws: LocalAws, request: pytest.FixtureRequest) -> Dashboards:
    """What Terraform leaves: definitions of an older release, a service without a task, a secret without a value."""
    name = request.node.name.replace("_", "-")
    there = Dashboards(
        address="https://dashboards.example.com", cluster=PLATFORM["cluster"], service=name,
        families={task: f"{name}-{task}" for task in SHAPE["tasks"]}, log_group=f"/{name}",
        secret_key=f"{name}/secret-key", security_groups=["sg-1"], subnets=["subnet-1", "subnet-2"],
    )  # fmt: skip
    aws.client("logs").create_log_group(logGroupName=there.log_group)
    define(aws, there, "assets", ENDS_WELL)
    server = define(aws, there, "server", LASTS)
    aws.client("ecs").create_service(
        cluster=there.cluster,
        serviceName=there.service,
        taskDefinition=server,
        desiredCount=0,
        launchType="FARGATE",
        deploymentConfiguration={"deploymentCircuitBreaker": {"enable": True, "rollback": True}},
    )
    secrets = aws.client("secretsmanager")
    version = secrets.create_secret(Name=there.secret_key, SecretString="x")["VersionId"]
    secrets.update_secret_version_stage(
        SecretId=there.secret_key, VersionStage="AWSCURRENT", RemoveFromVersionId=version
    )
    return there


def define(aws: LocalAws, there: Dashboards, task: str, end: str, image: str = OLD) -> str:
    logs = {"awslogs-group": there.log_group, "awslogs-region": "us-east-1", "awslogs-stream-prefix": task}
    made = aws.client("ecs").register_task_definition(
        family=there.families[task], networkMode="awsvpc", requiresCompatibilities=["FARGATE"], cpu="512",
        memory="1024", volumes=[{"name": "work"}], tags=[{"key": "Project", "value": "deftunes"}],
        runtimePlatform={"operatingSystemFamily": "LINUX", "cpuArchitecture": "X86_64"},
        containerDefinitions=[
            {
                "name": SHAPE["container"], "image": image, "readonlyRootFilesystem": True,
                "mountPoints": [{"sourceVolume": "work", "containerPath": "/tmp"}],
                "environment": [{"name": "END", "value": end}],
                "logConfiguration": {"logDriver": "awslogs", "options": logs},
            }
        ],
    )  # fmt: skip
    return str(made["taskDefinition"]["taskDefinitionArn"])


def deployed(aws: LocalAws, there: Dashboards, image: str = NEW) -> list[str]:
    return deploy_dashboards(there, image, aws.client("ecs"), aws.client("secretsmanager"), seconds=30)


def shown(aws: LocalAws, there: Dashboards) -> tuple[str, int]:
    """The image that the service runs, and how many times."""
    ecs = aws.client("ecs")
    (service,) = ecs.describe_services(cluster=there.cluster, services=[there.service])["services"]
    definition = ecs.describe_task_definition(taskDefinition=service["taskDefinition"])["taskDefinition"]
    return definition["containerDefinitions"][0]["image"], service["desiredCount"]


def operations(aws: LocalAws) -> list[str]:
    changes = {"RunTask", "UpdateService", "RegisterTaskDefinition", "PutSecretValue"}
    calls = [json.loads(line) for line in aws.journal.read_text("utf-8").splitlines()]
    return [call["operation"] for call in calls if call["operation"] in changes]


def test_assets_are_imported_before_the_service_shows_them(aws: LocalAws, there: Dashboards) -> None:
    before = len(operations(aws))
    assert deployed(aws, there) == [f"https://dashboards.example.com shows {NEW}"]
    assert shown(aws, there) == (NEW, 1)
    assert operations(aws)[before:] == [
        "PutSecretValue", "RegisterTaskDefinition", "RunTask", "RegisterTaskDefinition", "UpdateService"
    ]  # fmt: skip
    key = aws.client("secretsmanager").get_secret_value(SecretId=there.secret_key)["SecretString"]
    assert len(key) == 64

    before = len(operations(aws))
    assert deployed(aws, there) == []
    assert operations(aws)[before:] == ["RunTask"]
    assert aws.client("secretsmanager").get_secret_value(SecretId=there.secret_key)["SecretString"] == key


def test_a_revision_is_the_one_before_with_another_image(aws: LocalAws, there: Dashboards) -> None:
    ecs = aws.client("ecs")
    deployed(aws, there)
    for family in there.families.values():
        old, new = (
            ecs.describe_task_definition(taskDefinition=f"{family}:{revision}", include=["TAGS"]) for revision in (1, 2)
        )
        assert new["tags"] == old["tags"]
        kept = {"cpu", "memory", "networkMode", "requiresCompatibilities", "runtimePlatform", "volumes"}
        assert {name: new["taskDefinition"][name] for name in kept} == {
            name: old["taskDefinition"][name] for name in kept
        }
        before, after = (each["taskDefinition"]["containerDefinitions"][0] for each in (old, new))
        assert after == {**before, "image": NEW}


def test_an_import_that_fails_stops_the_deploy(aws: LocalAws, there: Dashboards) -> None:
    deployed(aws, there, OLD)
    define(aws, there, "assets", FAILS)
    with pytest.raises(DeftunesError, match=r"end with exit code 0, got 1: .* left as it is\. Read: aws logs tail"):
        deployed(aws, there)
    assert shown(aws, there) == (OLD, 1)

    define(aws, there, "assets", ENDS_WELL)
    assert deployed(aws, there) == [f"https://dashboards.example.com shows {NEW}"]
    assert shown(aws, there) == (NEW, 1)


def test_an_import_that_tells_no_exit_code_is_a_failure(aws: LocalAws, there: Dashboards) -> None:
    define(aws, there, "assets", "lost")
    with pytest.raises(DeftunesError, match="exit code 0, got none"):
        deployed(aws, there)
    assert shown(aws, there) == (OLD, 0)


def test_an_import_that_does_not_end_is_waited_for_no_longer_than_asked(aws: LocalAws, there: Dashboards) -> None:
    define(aws, there, "assets", LASTS)
    with pytest.raises(DeftunesError, match=r"to end within 1 seconds.*left as it is\."):
        deploy_dashboards(there, NEW, aws.client("ecs"), aws.client("secretsmanager"), seconds=1)
    assert shown(aws, there) == (OLD, 0)


def test_a_release_that_does_not_start_is_named(aws: LocalAws, there: Dashboards) -> None:
    deployed(aws, there, OLD)
    define(aws, there, "server", FAILS)
    with pytest.raises(DeftunesError, match=r"to run test-a-release-.*got the deployment FAILED\. Read: aws logs tail"):
        deployed(aws, there)


def test_a_person_who_wants_two_keeps_two(aws: LocalAws, there: Dashboards) -> None:
    deployed(aws, there, OLD)
    aws.client("ecs").update_service(cluster=there.cluster, service=there.service, desiredCount=2)
    deployed(aws, there)
    assert shown(aws, there) == (NEW, 2)


def test_what_terraform_says_is_what_a_deploy_reads() -> None:
    text = (REPOSITORY / "terraform/modules/dashboards/outputs.tf").read_text("utf-8")
    block = text.partition('output "deployment" {')[2].partition("value = {\n")[2].partition("\n  }")[0]
    said = {line.split()[0] for line in block.splitlines()}
    assert said == set(Dashboards.__dataclass_fields__)
