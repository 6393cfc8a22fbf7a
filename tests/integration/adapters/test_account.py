"""What `deftunes doctor --aws` finds in an account, and what it says when one thing is missing."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.stub import Stubber

from deftunes.adapters.account import Account, MissingError
from deftunes.core.settings import REPOSITORY
from deftunes.embedded.process import answers_http, free_port

PLATFORM = json.loads((REPOSITORY / "platform.json").read_text("utf-8"))
REGION, RELEASE = "us-east-1", "1.4.0"
FILES = {name: f"releases/{RELEASE}/glue/{name}" for name in (PLATFORM["glue"]["script"], PLATFORM["glue"]["wheels"])}
FAMILY = PLATFORM["tasks"]["extract_songs"]["family"]


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Any]]:
    """Clients of a local AWS with more services than the embedded one has."""
    folder, port = tmp_path_factory.mktemp("aws"), free_port(None)
    environment = {
        **os.environ, "SERVICES": "ecr,ecs,glue,mwaa,s3,secretsmanager,sns,sts", "STATE_DIR": str(folder),
        "S3_DATA_DIR": str(folder), "LOG_LEVEL": "WARNING", "IOT_MTLS_ENABLED": "0", "SFTP_ENABLED": "0",
        "DOCKER_HOST": f"unix://{folder / 'no-docker.sock'}",
    }  # fmt: skip
    server = subprocess.Popen(
        [sys.executable, "-P", "-m", "deftunes.embedded.aws_server", str(port), str(folder)], env=environment
    )

    def make(service: str) -> Any:
        return boto3.client(
            service, endpoint_url=f"http://127.0.0.1:{port}", region_name=REGION,
            aws_access_key_id="test", aws_secret_access_key="test",
            config=Config(proxies={}, inject_host_prefix=False, s3={"addressing_style": "path"}),
        )  # fmt: skip

    try:
        while not answers_http(port, "/_ministack/health"):
            assert server.poll() is None
            time.sleep(0.1)
        yield make
    finally:
        server.terminate()
        server.wait()


@pytest.fixture(scope="module")
def account(client: Callable[[str], Any]) -> Account:
    """An account with everything that Terraform and a release leave, warehouse excepted."""
    number = client("sts").get_caller_identity()["Account"]
    s3, glue, ecs, ecr = client("s3"), client("glue"), client("ecs"), client("ecr")
    glue.create_database(DatabaseInput={"Name": PLATFORM["database"]})
    for suffix in PLATFORM["buckets"].values():
        s3.create_bucket(Bucket=f"deftunes-{suffix}-{number}-{REGION}")
    artifacts = f"deftunes-artifacts-{number}-{REGION}"
    for key in FILES.values():
        s3.put_object(Bucket=artifacts, Key=key, Body=b"")
    for job in PLATFORM["glue"]["jobs"].values():
        glue.create_job(
            Name=job["name"], Role="arn:aws:iam::000000000000:role/x",
            Command={"Name": "glueetl", "ScriptLocation": f"s3://{artifacts}/{FILES[PLATFORM['glue']['script']]}"},
            DefaultArguments={"--additional-python-modules": f"s3://{artifacts}/{FILES[PLATFORM['glue']['wheels']]}"},
        )  # fmt: skip
    ecs.create_cluster(clusterName=PLATFORM["cluster"])
    for task in PLATFORM["tasks"].values():
        define(ecs, task["family"], RELEASE)
    for image in PLATFORM["images"].values():
        ecr.create_repository(repositoryName=image["repository"])
        ecr.put_image(repositoryName=image["repository"], imageManifest=json.dumps(image), imageTag=RELEASE)
    for secret in PLATFORM["secrets"].values():
        if not secret.get("optional"):
            client("secretsmanager").create_secret(Name=secret["name"], SecretString="x")
    client("mwaa").create_environment(
        Name=PLATFORM["name"], DagS3Path="dags", ExecutionRoleArn="arn:aws:iam::000000000000:role/x",
        NetworkConfiguration={"SubnetIds": ["subnet-1", "subnet-2"], "SecurityGroupIds": ["sg-1"]},
        SourceBucketArn=f"arn:aws:s3:::{artifacts}",
    )  # fmt: skip
    client("sns").create_topic(Name=f"{PLATFORM['name']}-alerts")
    found = Account(REGION)
    found._client = client  # type: ignore[method-assign] # the account of this machine
    return found


def define(ecs: Any, family: str, release: str) -> None:
    ecs.register_task_definition(
        family=family, containerDefinitions=[{"name": "stage", "image": f"{family}:{release}", "memory": 512}]
    )


@pytest.mark.parametrize(
    ("check", "found"),
    [
        ("identity", f"in {REGION}"),
        ("buckets", "deftunes-lake-"),
        ("catalog", PLATFORM["database"]),
        ("tasks", f"{len(PLATFORM['tasks'])} task definitions at release {RELEASE}"),
        ("images", f"{len(PLATFORM['images'])} images at release {RELEASE}"),
        ("glue_jobs", f"{len(PLATFORM['glue']['jobs'])} jobs, 2 files"),
        ("secrets", "2 secrets have a value"),
        ("dashboards", "none here"),
        ("airflow", "environment deftunes is available"),
    ],
)
def test_what_is_there_is_found(account: Account, check: str, found: str) -> None:
    assert found in getattr(account, check)()


def test_a_release_that_is_deployed_halfway_is_named(account: Account, client: Callable[[str], Any]) -> None:
    define(client("ecs"), FAMILY, "1.5.0")
    with pytest.raises(MissingError, match=r"at release 1\.5\.0, got .*:1\.4\.0"):
        account.tasks()
    with pytest.raises(MissingError, match=r"expected image deftunes/extract:1\.5\.0"):
        account.images()
    define(client("ecs"), FAMILY, RELEASE)
    artifacts = f"deftunes-artifacts-{client('sts').get_caller_identity()['Account']}-{REGION}"
    wheels = FILES[PLATFORM["glue"]["wheels"]]
    client("s3").delete_object(Bucket=artifacts, Key=wheels)
    with pytest.raises(MissingError, match=f"expected s3://{artifacts}/{wheels}, got 404"):
        account.glue_jobs()


def test_an_image_that_does_not_run_here_is_not_missed(account: Account, client: Callable[[str], Any]) -> None:
    ecr = client("ecr")
    optional = [image["repository"] for image in PLATFORM["images"].values() if image.get("optional")]
    assert optional
    for repository in optional:
        ecr.delete_repository(repositoryName=repository, force=True)
    assert account.images() == f"{len(PLATFORM['images']) - len(optional)} images at release {RELEASE}"
    ecr.create_repository(repositoryName=optional[0])
    with pytest.raises(MissingError, match=f"expected image {optional[0]}:"):
        account.images()
    ecr.delete_repository(repositoryName=optional[0])
    ecr.delete_repository(repositoryName=PLATFORM["images"]["extract"]["repository"], force=True)
    with pytest.raises(MissingError, match=r"expected image deftunes/extract:.*got RepositoryNotFoundException"):
        account.images()


def test_dashboards_that_show_another_release_or_nothing_are_named(
    account: Account, client: Callable[[str], Any]
) -> None:
    ecs, name = client("ecs"), PLATFORM["dashboards"]["service"]
    define(ecs, name, "1.3.0")
    ecs.create_service(cluster=PLATFORM["cluster"], serviceName=name, taskDefinition=name, desiredCount=0)
    with pytest.raises(MissingError, match=rf"expected {name} at release 1\.4\.0, got {name}:1\.3\.0"):
        account.dashboards()
    define(ecs, name, RELEASE)
    ecs.update_service(cluster=PLATFORM["cluster"], service=name, taskDefinition=name)
    with pytest.raises(MissingError, match=f"expected a task of {name} that runs, got none"):
        account.dashboards()
    ecs.update_service(cluster=PLATFORM["cluster"], service=name, desiredCount=1)
    assert account.dashboards() == f"{name} shows release {RELEASE}"


def test_a_secret_without_a_value_and_a_job_that_is_gone_are_named(
    account: Account, client: Callable[[str], Any]
) -> None:
    name = PLATFORM["secrets"]["songs_dsn"]["name"]
    secrets = client("secretsmanager")
    secrets.delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True)
    with pytest.raises(MissingError, match=f"expected secret {name}"):
        account.secrets()
    version = secrets.create_secret(Name=name, SecretString="x")["VersionId"]
    secrets.update_secret_version_stage(SecretId=name, VersionStage="AWSCURRENT", RemoveFromVersionId=version)
    with pytest.raises(MissingError, match=f"expected a value in secret {name}, got none"):
        account.secrets()
    job = PLATFORM["glue"]["jobs"]["quality_users"]["name"]
    client("glue").delete_job(JobName=job)
    with pytest.raises(MissingError, match=f"expected Glue job {job}"):
        account.glue_jobs()


def test_alerts_that_nobody_hears_are_named(account: Account, client: Callable[[str], Any]) -> None:
    with pytest.raises(MissingError, match="expected addresses that confirmed, got 0"):
        account.alerts()


def test_a_warehouse_on_its_way_is_named() -> None:
    """Redshift is the one service that nothing here can stand in for: its answers are written down."""
    serverless = boto3.client(
        "redshift-serverless", region_name=REGION, aws_access_key_id="x", aws_secret_access_key="x"
    )
    account = Account(REGION)
    account._client = lambda _: serverless  # type: ignore[method-assign]
    with Stubber(serverless) as stub:
        for status in ("CREATING", "AVAILABLE"):
            stub.add_response("get_workgroup", {"workgroup": {"status": status}}, {"workgroupName": PLATFORM["name"]})
        with pytest.raises(MissingError, match="deftunes available, got CREATING"):
            account.warehouse()
        assert account.warehouse() == "workgroup deftunes is available"
        stub.add_client_error("get_workgroup", "ResourceNotFoundException")
        with pytest.raises(MissingError, match="got ResourceNotFoundException"):
            account.warehouse()
