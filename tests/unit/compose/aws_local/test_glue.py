import json
from typing import Any

import pytest
from docker.errors import ImageNotFound
from ministack.core.responses import AccountRegionScopedDict
from ministack.services import glue

from aws_local.glue import stop_containers, validate_start


class Engine:
    """The parts of the engine's client that Glue's side of MiniStack asks."""

    def __init__(self, *images: str) -> None:
        self.images = self.containers = self
        self.here = set(images)
        self.removed: list[str] = []

    def get(self, name: str) -> "Engine":
        if name not in self.here and not name.startswith("ministack-glue-"):
            raise ImageNotFound(name)
        self.asked = name
        return self

    def remove(self, **options: bool) -> None:
        assert options == {"force": True, "v": True}
        self.removed.append(self.asked)


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Engine:
    engine = Engine("deftunes/glue:1.4.0")
    jobs, runs = AccountRegionScopedDict(), AccountRegionScopedDict()
    jobs["etl"] = {"Command": {"Name": "glueetl"}}
    jobs["shell"] = {"Command": {"Name": "pythonshell"}}
    monkeypatch.setattr(glue, "_jobs", jobs)
    monkeypatch.setattr(glue, "_job_runs", runs)
    monkeypatch.setattr(glue, "GLUE_DOCKER_IMAGE_OVERRIDE", "deftunes/glue:1.4.0")
    monkeypatch.setattr(glue, "_get_docker", lambda: engine)
    return engine


def start(job: str) -> tuple[int, dict[str, Any]]:
    status, _, body = validate_start(lambda _: (200, {}, b'{"JobRunId": "1"}'))({"JobName": job})
    return status, json.loads(body)


@pytest.mark.parametrize("job", ["etl", "unknown"])
def test_a_run_is_started_by_ministack(engine: Engine, job: str) -> None:
    assert start(job) == (200, {"JobRunId": "1"})


@pytest.mark.parametrize(("state", "is_refused"), [("RUNNING", True), ("STARTING", True), ("STOPPED", False)])
def test_a_job_never_runs_beside_itself(engine: Engine, state: str, is_refused: bool) -> None:
    glue._job_runs["etl"] = [{"JobRunState": "SUCCEEDED"}, {"JobRunState": state}]
    status, body = start("etl")
    assert (status == 400) is is_refused
    assert (body.get("__type") == "ConcurrentRunsExceededException") is is_refused


def test_a_run_without_its_image_is_no_success(engine: Engine) -> None:
    engine.here.clear()
    status, body = start("etl")
    assert status == 500
    assert "deftunes/glue:1.4.0" in body["message"]


def test_a_run_without_an_engine_is_no_success(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(glue, "_get_docker", lambda: None)
    assert start("etl")[0] == 500


def test_what_would_run_beside_the_engines_socket_is_refused(engine: Engine) -> None:
    assert start("shell")[0] == 400


def test_a_stop_ends_the_container(engine: Engine) -> None:
    stop = stop_containers(lambda _: (200, {}, b"{}"))
    assert stop({"JobName": "etl", "JobRunIds": ["0123456789"]})[0] == 200
    assert engine.removed == ["ministack-glue-etl-01234567"]
