"""Create in the local AWS what Terraform creates in the real one, before any service uses it. Idempotent.

Existing resources stay as they are, a changed definition gets a new revision, and secrets get their current values.
"""

import json
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from definitions import Deployment, Json, bucket, glue_job, script_key, task_definition

FOLDER = Path(__file__).parent
ACCOUNT = "000000000000"  # MiniStack's default


def main() -> None:
    """Create all resources, in the order of their dependencies."""
    platform: Json = json.loads((FOLDER / "platform.json").read_text(encoding="utf-8"))
    secrets = {
        name: (secret["name"], os.environ[secret["variable"]])
        for name, secret in platform["secrets"].items()
        if os.environ.get(secret["variable"])
    }
    # Additions to the common settings: the image of a Glue job contains Spark, as Glue does; that of a task does not.
    settings = {**os.environ, "DEFTUNES_ENGINE": "embedded", "DEFTUNES_SPARK_PROVIDED": "true"}
    deployment = Deployment(ACCOUNT, os.environ["AWS_REGION"], os.environ["DEFTUNES_RELEASE"], settings, tuple(secrets))
    script = FOLDER / platform["glue"]["script"]

    create_bucket(client("s3"), bucket(platform, "lake", deployment))
    # The local AWS reads scripts from its own S3, not from the lake's MinIO.
    artifacts = client("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL"])
    create_bucket(artifacts, bucket(platform, "artifacts", deployment))
    artifacts.put_object(
        Bucket=bucket(platform, "artifacts", deployment), Key=script_key(platform, deployment), Body=script.read_bytes()
    )
    for name, value in secrets.values():
        put_secret(name, value)
    create_log_groups(platform["log_groups"].values())
    register_tasks(platform, deployment)
    create_jobs(platform, deployment)
    sys.stdout.write(
        f"{len(secrets)} secrets, {len(platform['tasks'])} task definitions, {len(platform['glue']['jobs'])} Glue jobs "
        f"of release {deployment.release}\n"
    )


def client(service: str, **options: Any) -> Any:
    """A client of the local AWS, configured by the standard variables."""
    config = Config(retries={"mode": "standard", "max_attempts": 5}, s3={"addressing_style": "path"})
    return boto3.client(service, region_name=os.environ["AWS_REGION"], config=config, **options)  # type: ignore[call-overload]


def create_bucket(s3: Any, name: str) -> None:
    """Create a bucket if it is missing."""
    if name not in {found["Name"] for found in s3.list_buckets()["Buckets"]}:
        s3.create_bucket(Bucket=name)


def put_secret(name: str, value: str) -> None:
    """Create a secret, or update its value if it differs."""
    manager = client("secretsmanager")
    try:
        if manager.get_secret_value(SecretId=name)["SecretString"] != value:
            manager.put_secret_value(SecretId=name, SecretString=value)
    except manager.exceptions.ResourceNotFoundException:
        manager.create_secret(Name=name, SecretString=value)


def create_log_groups(names: Any) -> None:
    """Create log groups that are missing: without its group, the output of a task is lost."""
    logs = client("logs")
    for name in names:
        with suppress(logs.exceptions.ResourceAlreadyExistsException):
            logs.create_log_group(logGroupName=name)


def register_tasks(platform: Json, deployment: Deployment) -> None:
    """Create the cluster, and a new revision of each task whose definition changed."""
    ecs = client("ecs")
    ecs.create_cluster(clusterName=platform["cluster"])
    for task in platform["tasks"]:
        wanted = task_definition(platform, task, deployment)
        try:
            found = ecs.describe_task_definition(taskDefinition=wanted["family"])["taskDefinition"]
        except ecs.exceptions.ClientException:
            found = {}
        if not is_subset(wanted, found):
            ecs.register_task_definition(**wanted)


def create_jobs(platform: Json, deployment: Deployment) -> None:
    """Create silver's database and the Glue jobs, and update jobs that exist."""
    glue = client("glue")
    with suppress(glue.exceptions.AlreadyExistsException):
        glue.create_database(DatabaseInput={"Name": platform["database"]})
    for job in platform["glue"]["jobs"]:
        wanted = glue_job(platform, job, deployment)
        try:
            glue.create_job(**wanted)
        except glue.exceptions.AlreadyExistsException:
            changes = {name: value for name, value in wanted.items() if name != "Name"}
            glue.update_job(JobName=wanted["Name"], JobUpdate=changes)


def is_subset(wanted: Any, found: Any) -> bool:
    """Whether `found` contains all of `wanted`; AWS adds defaults."""
    if isinstance(wanted, dict):
        return isinstance(found, dict) and all(is_subset(value, found.get(name)) for name, value in wanted.items())
    if isinstance(wanted, list):
        return isinstance(found, list) and len(wanted) == len(found) and all(map(is_subset, wanted, found))
    return bool(wanted == found)


if __name__ == "__main__":
    main()
