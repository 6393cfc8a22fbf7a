"""The real Airflow, in its own environment, and a local AWS for it to call. Both are other processes."""

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3

from deftunes.core.settings import REPOSITORY
from deftunes.embedded.process import free_port

PROGRAMS = REPOSITORY / "tests" / "dags"
ENVIRONMENT = REPOSITORY / ".venv" / "airflow"
PLATFORM: dict[str, Any] = json.loads((REPOSITORY / "platform.json").read_text("utf-8"))
# What tasks and Glue jobs that are no success end with; see local_aws.py.
TASKS_END = {
    "extract_users": "3",
    "extract_sessions": "75",
    "publish_users": "never",
    "publish_sessions": "lost",
    "load_users": "2",
    "load_sessions": "137",
    "transform_users": "75",
    "quality_sessions": "3",
}
JOBS_END = {
    "transform_users": "FAILED",
    "quality_users": "STOPPED",
    "transform_sessions": "ERROR",
}
# How often a Glue job is said to run already before it can be started.
BUSY = {"quality_sessions": 2}
SETTINGS = {
    "AIRFLOW__DEFTUNES__RELEASE": "1.4.0",
    "AIRFLOW__DEFTUNES__CLUSTER": "deftunes",
    "AIRFLOW__DEFTUNES__SUBNETS": "subnet-1, subnet-2",
    "AIRFLOW__DEFTUNES__SECURITY_GROUPS": "sg-1",
}
IN_BATCH = {
    "AIRFLOW__DEFTUNES__BATCH_QUEUE": "deftunes-backfill",
    "AIRFLOW__DEFTUNES__BATCH_STAGES": "extract,load",
    "AIRFLOW__DEFTUNES__START_DATE": "2020-03-01",
    "AIRFLOW__DEFTUNES__END_DATE": "2020-03-03",
    "AIRFLOW__DEFTUNES__POLL_SECONDS": "2",
}
ON_ECS = {"AIRFLOW__DEFTUNES__TRANSFORM_ON": "ecs"}


@dataclass(frozen=True)
class Asked:
    """What Airflow said, what it printed, and what it asked AWS for."""

    answer: dict[str, Any]
    printed: str
    calls: list[dict[str, Any]]

    def requests(self, operation: str) -> list[dict[str, Any]]:
        """The requests of one operation, in order."""
        return [call["request"] for call in self.calls if call["operation"].lower() == operation.lower()]


class LocalAws:
    """MiniStack with what Terraform or compose would have made."""

    def __init__(self, folder: Path) -> None:
        self.journal = folder / "calls.jsonl"
        port = free_port(None)
        self.endpoint = f"http://127.0.0.1:{port}"
        self.process = subprocess.Popen(
            [sys.executable, str(PROGRAMS / "local_aws.py"), str(port), str(self.journal)],
            env={
                **os.environ, "SERVICES": "ecs,glue,batch,logs,secretsmanager,sts", "LOG_LEVEL": "WARNING",
                "IOT_MTLS_ENABLED": "0", "SFTP_ENABLED": "0", "DOCKER_HOST": f"unix://{folder / 'no-docker.sock'}",
            },
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self._wait()
        self._furnish()

    def client(self, service: str) -> Any:
        """A client of one of its services."""
        return boto3.client(
            service, endpoint_url=self.endpoint, region_name="us-east-1",
            aws_access_key_id="test", aws_secret_access_key="test",
        )  # fmt: skip

    def _wait(self) -> None:
        deadline = time.monotonic() + 30
        while True:
            try:
                urllib.request.urlopen(f"{self.endpoint}/_ministack/health").close()
            except OSError:
                assert self.process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.1)
            else:
                return

    def _furnish(self) -> None:
        ecs, batch, glue, logs = map(self.client, ("ecs", "batch", "glue", "logs"))
        for group in PLATFORM["log_groups"].values():
            logs.create_log_group(logGroupName=group)
        ecs.create_cluster(clusterName=PLATFORM["cluster"])
        for name, task in PLATFORM["tasks"].items():
            options = {
                "awslogs-group": PLATFORM["log_groups"][task["log_group"]], "awslogs-region": "us-east-1",
                "awslogs-stream-prefix": name,
            }  # fmt: skip
            container = {
                "image": "none",
                "command": task["command"],
                "environment": [{"name": "END", "value": TASKS_END.get(name, "0")}],
                "logConfiguration": {"logDriver": "awslogs", "options": options},
            }
            ecs.register_task_definition(
                family=task["family"], networkMode="awsvpc", requiresCompatibilities=["FARGATE"],
                cpu=str(task["cpu"]), memory=str(task["memory"]),
                containerDefinitions=[{"name": PLATFORM["container"], **container}],
            )  # fmt: skip
            batch.register_job_definition(
                jobDefinitionName=task["family"], type="container",
                containerProperties={**container, "vcpus": 1, "memory": task["memory"]},
            )  # fmt: skip
        for name, job in PLATFORM["glue"]["jobs"].items():
            glue.create_job(
                Name=job["name"], Role="role", GlueVersion="5.0",
                Command={"Name": "glueetl", "ScriptLocation": "s3://none/glue_stage.py"},
                DefaultArguments={
                    **job["arguments"], "--END": JOBS_END.get(name, "SUCCEEDED"), "--BUSY": str(BUSY.get(name, 0))
                },
            )  # fmt: skip
        for client in (ecs, batch, glue, logs):
            client.close()


def ask(home: Path, question: dict[str, Any], aws: LocalAws | None = None, **settings: str) -> Asked:
    """Put a question to Airflow, in a process of its own."""
    python = ENVIRONMENT / "bin" / "python"
    assert python.exists(), "expected Airflow's environment, found none. Make it: make .venv/.airflow"
    shutil.copyfile(ENVIRONMENT / "airflow.db", home / "airflow.db")
    before = len(aws.journal.read_text("utf-8").splitlines()) if aws else 0
    # Nothing of the caller's: neither Python's own settings nor an account.
    environment = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG", "TMPDIR"}}
    process = subprocess.run(
        [python, PROGRAMS / "probe.py", home / "answer.json"],
        input=json.dumps(question), capture_output=True, text=True, check=False,
        env={
            **environment, **SETTINGS, **settings, "AIRFLOW_HOME": str(home), "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__UNIT_TEST_MODE": "False", "AIRFLOW__CORE__DAGS_FOLDER": str(REPOSITORY / "dags"),
            "AWS_ENDPOINT_URL": aws.endpoint if aws else "http://127.0.0.1:9", "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_EC2_METADATA_DISABLED": "true",
        },
    )  # fmt: skip
    assert process.returncode == 0, process.stdout[-4000:] + process.stderr[-4000:]
    calls = aws.journal.read_text("utf-8").splitlines()[before:] if aws else []
    return Asked(json.loads((home / "answer.json").read_text("utf-8")), process.stdout, [json.loads(x) for x in calls])


DAY = {"start": "2020-01-05T00:00:00+00:00", "end": "2020-01-06T00:00:00+00:00"}
CASES = {
    "day": DAY,
    "range": {**DAY, "params": {"start": "2020-02-01", "end": "2020-05-01", "accept_shrink": True, "full": True}},
    "only a range": {"params": {"start": "2020-02-01", "end": "2020-05-01"}},
    "half a range": {**DAY, "params": {"start": "2020-02-01"}},
    "backwards": {**DAY, "params": {"start": "2020-02-02", "end": "2020-02-01"}},
    "empty": {**DAY, "params": {"start": "2020-02-01", "end": "2020-02-01"}},
    "nothing": {},
}


def of_api(*only: str, at: str = "2020-01-06T00:00:00+00:00", **more: Any) -> dict[str, Any]:
    """A run of the API's DAG, of these tasks alone."""
    return {"dag": "deftunes_api_pipeline_dag", "only": list(only), "at": at, **more}


RUNS = {
    "songs": {
        "dag": "deftunes_songs_pipeline_dag",
        "at": "2020-01-06T00:00:00+00:00",
        "conf": {"start": "2020-02-01", "end": "2020-05-01", "accept_shrink": True},
    },
    "containers that fail": of_api("extract_users", "extract_sessions", "load_users", "load_sessions", retries=2),
    "glue jobs that fail": of_api("transform_users", at="2020-01-07T00:00:00+00:00"),
    "glue jobs that are stopped": of_api("quality_users", at="2020-01-08T00:00:00+00:00", retries=0),
    "glue jobs in error": of_api("transform_sessions", at="2020-01-11T00:00:00+00:00", retries=0, timeout=20),
    "glue jobs that run already": of_api("quality_sessions", at="2020-01-12T00:00:00+00:00", retries=0, timeout=20),
    "a container that is lost": of_api("publish_sessions", at="2020-01-13T00:00:00+00:00", retries=1),
    "a container that hangs": of_api("publish_users", at="2020-01-09T00:00:00+00:00", retries=0, timeout=3),
    "half a range": of_api("check_api", at="2020-01-10T00:00:00+00:00", conf={"start": "2020-02-01"}),
}
IN_BATCH_RUNS = {
    "in batch": of_api("extract_users", "load_users", "load_sessions", at="2020-03-02T00:00:00+00:00", retries=1)
}
ON_ECS_RUNS = {
    "transform and quality": {
        "dag": "deftunes_songs_pipeline_dag",
        "only": ["transform_songs", "quality_songs"],
        "at": "2020-04-02T00:00:00+00:00",
    },
    "containers that fail": of_api("transform_users", "quality_sessions", at="2020-04-03T00:00:00+00:00", retries=2),
}
LAPTOP: dict[str, str | None] = dict.fromkeys([*IN_BATCH, *ON_ECS])
VARIANTS: dict[str, dict[str, str | None]] = {
    "the laptop's again": LAPTOP,
    **{
        f"no {option}": {**SETTINGS, **LAPTOP, f"AIRFLOW__DEFTUNES__{option.upper()}": ""}
        for option in ("release", "subnets", "security_groups")
    },
    "transform on lambda": {**SETTINGS, **LAPTOP, "AIRFLOW__DEFTUNES__TRANSFORM_ON": "lambda"},
    "transform on glue": {**SETTINGS, **LAPTOP, "AIRFLOW__DEFTUNES__TRANSFORM_ON": "glue"},
    "transform on ECS in batch": {
        **SETTINGS,
        **IN_BATCH,
        **ON_ECS,
        "AIRFLOW__DEFTUNES__BATCH_STAGES": "transform",
        "AIRFLOW__DEFTUNES__BATCH_QUEUE": "",
    },
    "no batch_queue": {**SETTINGS, **LAPTOP, **IN_BATCH, "AIRFLOW__DEFTUNES__BATCH_QUEUE": ""},
}
