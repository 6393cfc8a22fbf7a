"""What init makes in the local AWS: the tasks and Glue jobs of platform.json, in the shapes that Terraform gives them.

    platform.json + settings + where  ->  requests to ECS and Glue

terraform/modules/extract_job and transform_job say the same for AWS; tests/contract/test_compose.py holds the two
against each other.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]

# As Terraform has them for dev.
_DISK_GIB = 40
_WORKERS = 2
_TIMEOUT_MINUTES = 60


@dataclass(frozen=True, slots=True)
class Where:
    """An account, and what is in it. `registry` stands before an image's repository; `secrets` are those that exist."""

    account: str
    region: str
    release: str
    settings: Mapping[str, str]
    secrets: Collection[str]
    registry: str = ""


def bucket(platform: Json, name: str, where: Where) -> str:
    """A bucket's name, which is unique in the world."""
    return f"{platform['name']}-{platform['buckets'][name]}-{where.account}-{where.region}"


def script_key(platform: Json, where: Where) -> str:
    """Where in the artifacts bucket the Glue jobs' script is."""
    return f"releases/{where.release}/glue/{platform['glue']['script']}"


def task_definition(platform: Json, task: str, where: Where) -> Json:
    """The task that runs one stage; a run adds the interval to its command."""
    shape = platform["tasks"][task]
    secrets = [platform["secrets"][name] for name in shape["secrets"] if name in where.secrets]
    container = {
        "name": platform["container"],
        "image": f"{where.registry}{platform['images'][shape['image']]['repository']}:{where.release}",
        "essential": True,
        "command": shape["command"],
        "environment": [{"name": name, "value": where.settings[name]} for name in shape["environment"]],
        "secrets": [
            {
                "name": secret["variable"],
                "valueFrom": f"arn:aws:secretsmanager:{where.region}:{where.account}:secret:{secret['name']}",
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
                "awslogs-region": where.region,
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


def glue_job(platform: Json, job: str, where: Where) -> Json:
    """The Glue job that runs one stage.

    Terraform's has two arguments more, by which Glue installs the release's wheels: here they are in the image.
    """
    glue = platform["glue"]
    shape = glue["jobs"][job]
    release = f"s3://{bucket(platform, 'artifacts', where)}/releases/{where.release}/glue"
    return {
        "Name": shape["name"],
        "Description": f"Stage {job}; a run adds --start and --end",
        "Role": f"arn:aws:iam::{where.account}:role/{shape['name']}",
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
            **{f"--{name}": where.settings[name] for name in shape["environment"]},
            "--datalake-formats": "iceberg",
            "--extra-jars": ",".join(f"{release}/jars/{jar}" for jar in glue["jars"]),
            "--user-jars-first": "true",
            "--job-bookmark-option": "job-bookmark-disable",
            "--custom-logGroup-prefix": glue["log_group_prefix"],
            "--enable-metrics": "true",
        },
    }
