"""Definitions of the ECS tasks and Glue jobs in platform.json, identical to Terraform's.

    platform.json + deployment  ->  requests to ECS and Glue

terraform/modules/extract_job and transform_job define the same for AWS; tests/contract/test_compose.py compares them.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]

# The values of terraform/dev.tfvars.
_DISK_GIB = 40
_WORKERS = 2
_TIMEOUT_MINUTES = 60


@dataclass(frozen=True, slots=True)
class Deployment:
    """The account, region, release and settings to deploy to and with.

    `secrets` are the names of the secrets that exist; `registry` is the prefix of each image's repository.
    """

    account: str
    region: str
    release: str
    settings: Mapping[str, str]
    secrets: Collection[str]
    registry: str = ""


def bucket(platform: Json, name: str, deployment: Deployment) -> str:
    """The name of a bucket, which has to be globally unique."""
    return f"{platform['name']}-{platform['buckets'][name]}-{deployment.account}-{deployment.region}"


def script_key(platform: Json, deployment: Deployment) -> str:
    """The key of the Glue jobs' script in the artifacts bucket."""
    return f"releases/{deployment.release}/glue/{platform['glue']['script']}"


def task_definition(platform: Json, task: str, deployment: Deployment) -> Json:
    """The definition of the ECS task that runs one stage; a run adds the interval to its command."""
    shape = platform["tasks"][task]
    secrets = [platform["secrets"][name] for name in shape["secrets"] if name in deployment.secrets]
    container = {
        "name": platform["container"],
        "image": f"{deployment.registry}{platform['images'][shape['image']]['repository']}:{deployment.release}",
        "essential": True,
        "command": shape["command"],
        "environment": [{"name": name, "value": deployment.settings[name]} for name in shape["environment"]],
        "secrets": [
            {
                "name": secret["variable"],
                "valueFrom": f"arn:aws:secretsmanager:{deployment.region}:{deployment.account}:secret:{secret['name']}",
            }
            for secret in secrets
        ],
        "readonlyRootFilesystem": True,
        "mountPoints": [{"sourceVolume": "work", "containerPath": platform["work_folder"], "readOnly": False}],
        "linuxParameters": {"initProcessEnabled": True},
        "stopTimeout": 120,
        "logConfiguration": {
            "logDriver": "awslogs",
            "options": {
                "awslogs-group": platform["log_groups"][shape["log_group"]],
                "awslogs-region": deployment.region,
                "awslogs-stream-prefix": task,
            },
        },
    }
    return {
        "family": shape["family"],
        "requiresCompatibilities": ["FARGATE"],
        "networkMode": "awsvpc",
        "cpu": str(shape["cpu"]),
        "memory": str(shape["memory"]),
        "runtimePlatform": {"operatingSystemFamily": "LINUX", "cpuArchitecture": "X86_64"},
        "ephemeralStorage": {"sizeInGiB": _DISK_GIB},
        "volumes": [{"name": "work"}],
        "containerDefinitions": [container],
    }


def glue_job(platform: Json, job: str, deployment: Deployment) -> Json:
    """The definition of the Glue job that runs one stage.

    Terraform's has two more arguments, by which Glue installs the release's wheels; here the image contains them.
    """
    glue = platform["glue"]
    shape = glue["jobs"][job]
    release = f"s3://{bucket(platform, 'artifacts', deployment)}/releases/{deployment.release}/glue"
    return {
        "Name": shape["name"],
        "Description": f"Stage {job}; a run adds --start and --end",
        "Role": f"arn:aws:iam::{deployment.account}:role/{shape['name']}",
        "GlueVersion": glue["version"],
        "WorkerType": "G.1X",
        "NumberOfWorkers": _WORKERS,
        "Timeout": _TIMEOUT_MINUTES,
        "MaxRetries": 0,
        "ExecutionClass": "STANDARD",
        "ExecutionProperty": {"MaxConcurrentRuns": 1},
        "Command": {"Name": "glueetl", "PythonVersion": "3", "ScriptLocation": f"{release}/{glue['script']}"},
        "DefaultArguments": {
            **shape["arguments"],
            **{f"--{name}": deployment.settings[name] for name in shape["environment"]},
            "--datalake-formats": "iceberg",
            "--extra-jars": ",".join(f"{release}/jars/{jar}" for jar in glue["jars"]),
            "--user-jars-first": "true",
            "--job-bookmark-option": "job-bookmark-disable",
            "--custom-logGroup-prefix": glue["log_group_prefix"],
            "--enable-metrics": "true",
        },
    }
