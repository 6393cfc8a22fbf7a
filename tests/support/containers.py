"""The platform in containers: a compose project of its own beside anybody's, its Airflow, and what it holds."""

import json
import os
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import docker
import requests
from docker.models.containers import Container
from testcontainers.core.container import DockerContainer

ROOT = Path(__file__).resolve().parents[2]
PROJECT = "deftunes-e2e"
RELEASE = os.environ.get("DEFTUNES_E2E_RELEASE", "dev")
OPENING = date(2020, 1, 1)
DAY = timedelta(days=1)
PORTS = ("AIRFLOW_PORT", "API_PORT", "AWS_PORT", "MINIO_PORT", "POSTGRES_PORT", "SUPERSET_PORT")
SONGS, API = "deftunes_songs_pipeline_dag", "deftunes_api_pipeline_dag"
# One run of each DAG takes two to three minutes on two cores; a machine under load takes three times that.
RUN_SECONDS = 900.0
_ENDED = {"success", "failed"}
_POLL_SECONDS = 2.0

Json = dict[str, Any]


def on_loopback(container: DockerContainer, port: int) -> DockerContainer:
    """The container, its port published for this machine only: Testcontainers publishes for every machine around."""
    container.ports = {f"{port}/tcp": ("127.0.0.1", None)}
    return container


@dataclass(frozen=True)
class Platform:
    """What `docker compose up` starts, on ports that are free."""

    days: int
    engine: docker.DockerClient = field(default_factory=docker.from_env)

    @property
    def environment(self) -> dict[str, str]:
        """What makes `docker compose`, whoever calls it, mean this platform, and no .env of anybody's change it."""
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith("COMPOSE_")},
            "COMPOSE_PROJECT_NAME": PROJECT,
            "COMPOSE_ENV_FILES": os.devnull,
            "DEFTUNES_RELEASE": RELEASE,
            "DEMO_START": OPENING.isoformat(),
            "DEMO_END": (OPENING + DAY * (self.days - 1)).isoformat(),
            **dict.fromkeys(PORTS, "0"),
        }

    def compose(self, *arguments: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
        """`docker compose` on this project."""
        done = subprocess.run(
            ["docker", "compose", *arguments],
            cwd=ROOT, env=self.environment, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        if check and done.returncode:
            raise AssertionError(f"docker compose {' '.join(arguments)}: {done.stderr[-3000:]}")
        return done

    def up(self) -> None:
        """Start what does not run; returns when all of it is healthy. The images must be there."""
        self.compose("up", "--detach", "--wait", "--no-build")

    def down(self) -> None:
        """Stop everything and forget its data; the local AWS ends the containers of stages first."""
        self.compose("down", "--volumes", "--remove-orphans", check=False)

    def container(self, service: str) -> Container:
        """The container of a service."""
        (name,) = self.compose("ps", "--all", "--quiet", service).stdout.split()
        return self.engine.containers.get(name)

    def url(self, service: str, port: int) -> str:
        """Where a service is published on this machine."""
        return f"http://{self.compose('port', service, str(port)).stdout.strip()}"

    def cli(self, *arguments: str) -> str:
        """`docker compose run --rm cli ...`; what it prints."""
        return self.compose("run", "--rm", "-T", "cli", *arguments).stdout

    def query(self, statement: str) -> list[Json]:
        """Ask the warehouse."""
        rows: list[Json] = json.loads(self.cli("query", statement, "--format", "json"))
        return rows

    def stages(self) -> list[Container]:
        """The containers of tasks and Glue jobs that run now."""
        instance = f"ministack.instance={PROJECT}-aws-local:4566"
        # One that ends while they are listed is none.
        return self.engine.containers.list(filters={"label": instance, "status": "running"}, ignore_removed=True)

    def truth(self, days: int) -> Json:
        """What the shop says that it sold in the first `days` days."""
        answer = requests.get(
            f"{self.url('purchase-api', 8000)}/simulator/truth",
            params={"start_date": OPENING.isoformat(), "end_date": (OPENING + DAY * days).isoformat()},
            timeout=60,
        )
        answer.raise_for_status()
        truth: Json = answer.json()
        return truth

    def logs(self) -> str:
        """The end of what every service has said."""
        return self.compose("logs", "--no-color", "--tail", "40", check=False).stdout


@dataclass
class Airflow:
    """Airflow's REST API, which wants no password here."""

    platform: Platform

    def call(self, method: str, path: str, *, may_be_there: bool = False, **body: Any) -> Json:
        """One call; tried again while Airflow is restarting, so what it creates `may_be_there` already."""
        deadline = time.monotonic() + 180
        while True:
            try:
                # The port is another one after a restart.
                url = self.platform.url("airflow-api-server", 8080)
                token = requests.get(f"{url}/auth/token", timeout=20).json()["access_token"]
                answer = requests.request(
                    method, f"{url}/api/v2/{path}", headers={"Authorization": f"Bearer {token}"},
                    json=body or None, timeout=60,
                )  # fmt: skip
                if answer.status_code < 500:
                    break
            except (requests.RequestException, AssertionError, ValueError) as error:
                if time.monotonic() > deadline:
                    raise AssertionError(f"Airflow does not answer: {error}") from error
            time.sleep(_POLL_SECONDS)
        is_there = may_be_there and answer.status_code == requests.codes.conflict
        assert answer.ok or is_there, f"{method} {path}: {answer.status_code} {answer.text}"
        result: Json = answer.json()
        return result

    def runs(self, dag: str) -> dict[str, str]:
        """Each run of a DAG with its state, in the order of their beginning."""
        # Of all DAGs: one whose file has not been read yet is none, not an error.
        found = self.call("GET", "dags/~/dagRuns?limit=100&order_by=run_after")["dag_runs"]
        return {run["dag_run_id"]: run["state"] for run in found if run["dag_id"] == dag}

    def trigger(self, dag: str, first: date, after: date) -> str:
        """Start a run for a range of days; its id."""
        # A name of ours: a call whose answer was lost is repeated, and must not start a second run.
        name = f"test__{uuid4().hex}"
        conf = {"start": first.isoformat(), "end": after.isoformat()}
        self.call("POST", f"dags/{dag}/dagRuns", may_be_there=True, dag_run_id=name, logical_date=None, conf=conf)
        return name

    def clear(self, dag: str, run: str) -> None:
        """Let all tasks of a run be done again."""
        self.call("POST", f"dags/{dag}/dagRuns/{run}/clear", dry_run=False, only_failed=False)

    def tries(self, dag: str, run: str) -> dict[str, int]:
        """How often each task of a run was tried."""
        found = self.call("GET", f"dags/{dag}/dagRuns/{run}/taskInstances?limit=100")["task_instances"]
        return {task["task_id"]: task["try_number"] for task in found}

    def wait_for_demo(self) -> None:
        """Until both DAGs have a successful run for every day of the demo."""
        wanted = self.platform.days
        for dag in (SONGS, API):
            self._until(dag, lambda states: len(states) >= wanted and all(s in _ENDED for s in states.values()),
                        RUN_SECONDS * wanted)  # fmt: skip

    def wait_for(self, dag: str, run: str) -> None:
        """Until a run has succeeded."""
        self._until(dag, lambda states: states.get(run) in _ENDED, RUN_SECONDS)

    def _until(self, dag: str, done: Callable[[dict[str, str]], bool], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not done(states := self.runs(dag)):
            assert "failed" not in states.values(), f"{dag}: {states}"
            assert time.monotonic() < deadline, f"{dag} has not ended within {seconds:.0f} s: {states}"
            time.sleep(_POLL_SECONDS)
        assert set(states.values()) == {"success"}, f"{dag}: {states}"
