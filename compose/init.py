"""Make in the local AWS what Terraform makes in the real one; run before anything that needs it, and safe to repeat.

What is there already stays as it is, a definition that changed gets a new revision, secrets get today's values.
"""

import json
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from definitions import Json, Where, bucket, glue_job, script_key, task_definition

FOLDER = Path(__file__).parent
ACCOUNT = "000000000000"  # MiniStack's, for keys that name none


def main() -> None:
    """Make everything, in the order of what needs what."""
    platform: Json = json.loads((FOLDER / "platform.json").read_text(encoding="utf-8"))
    secrets = {
        name: (secret["name"], os.environ[secret["variable"]])
        for name, secret in platform["secrets"].items()
        if os.environ.get(secret["variable"])
    }
    # What a laptop adds to the settings of all: Spark is in the image of a Glue job, as it is on Glue.
    settings = {**os.environ, "DEFTUNES_SPARK_PROVIDED": "true"}
    where = Where(ACCOUNT, os.environ["AWS_REGION"], os.environ["DEFTUNES_RELEASE"], settings, tuple(secrets))
    script = FOLDER / platform["glue"]["script"]

    make_bucket(client("s3"), bucket(platform, "lake", where))
    # The local AWS reads scripts from its own S3, not from the lake's.
    artifacts = client("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL"])
    make_bucket(artifacts, bucket(platform, "artifacts", where))
    artifacts.put_object(
        Bucket=bucket(platform, "artifacts", where), Key=script_key(platform, where), Body=script.read_bytes()
    )
    for name, value in secrets.values():
        keep_secret(name, value)
    make_log_groups(platform["log_groups"].values())
    make_cluster_and_tasks(platform, where)
    make_database_and_jobs(platform, where)
    sys.stdout.write(
        f"{len(secrets)} secrets, {len(platform['tasks'])} task definitions, {len(platform['glue']['jobs'])} Glue jobs "
        f"of release {where.release}\n"
    )


def client(service: str, **options: Any) -> Any:
    """A client of the local AWS, by the standard variables."""
    patient = Config(retries={"mode": "standard", "max_attempts": 5}, s3={"addressing_style": "path"})
    return boto3.client(service, region_name=os.environ["AWS_REGION"], config=patient, **options)  # type: ignore[call-overload]


def make_bucket(s3: Any, name: str) -> None:
    """A bucket, unless it is there."""
    if name not in {found["Name"] for found in s3.list_buckets()["Buckets"]}:
        s3.create_bucket(Bucket=name)


def keep_secret(name: str, value: str) -> None:
    """A secret with this value."""
    manager = client("secretsmanager")
    try:
        if manager.get_secret_value(SecretId=name)["SecretString"] != value:
            manager.put_secret_value(SecretId=name, SecretString=value)
    except manager.exceptions.ResourceNotFoundException:
        manager.create_secret(Name=name, SecretString=value)


def make_log_groups(names: Any) -> None:
    """Log groups, unless they are there: without its group a task's output is not kept."""
    logs = client("logs")
    for name in names:
        with suppress(logs.exceptions.ResourceAlreadyExistsException):
            logs.create_log_group(logGroupName=name)


def make_cluster_and_tasks(platform: Json, where: Where) -> None:
    """The cluster, and a revision of each task whose definition is new."""
    ecs = client("ecs")
    ecs.create_cluster(clusterName=platform["cluster"])
    for task in platform["tasks"]:
        wanted = task_definition(platform, task, where)
        try:
            found = ecs.describe_task_definition(taskDefinition=wanted["family"])["taskDefinition"]
        except ecs.exceptions.ClientException:
            found = {}
        if not is_within(wanted, found):
            ecs.register_task_definition(**wanted)


def make_database_and_jobs(platform: Json, where: Where) -> None:
    """Silver's database and the Glue jobs, each as it is defined now."""
    glue = client("glue")
    with suppress(glue.exceptions.AlreadyExistsException):
        glue.create_database(DatabaseInput={"Name": platform["database"]})
    for job in platform["glue"]["jobs"]:
        wanted = glue_job(platform, job, where)
        try:
            glue.create_job(**wanted)
        except glue.exceptions.AlreadyExistsException:
            changes = {name: value for name, value in wanted.items() if name != "Name"}
            glue.update_job(JobName=wanted["Name"], JobUpdate=changes)


def is_within(wanted: Any, found: Any) -> bool:
    """Whether `found` says what `wanted` says; AWS adds defaults of its own."""
    if isinstance(wanted, dict):
        return isinstance(found, dict) and all(is_within(value, found.get(name)) for name, value in wanted.items())
    if isinstance(wanted, list):
        return isinstance(found, list) and len(wanted) == len(found) and all(map(is_within, wanted, found))
    return bool(wanted == found)


if __name__ == "__main__":
    main()
