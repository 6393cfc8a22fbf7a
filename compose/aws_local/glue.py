"""Glue's behaviour where MiniStack's differs: no concurrent runs, a stop that stops, no success without a run.

    StartJobRun, BatchStopJobRun  ->  this module  ->  MiniStack

A run is refused while another run of its job is active, as Glue does, and where MiniStack could not execute it: without
an engine or an image it reports success, and a `pythonshell` job it would execute in its own container.
"""

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from docker.errors import DockerException, NotFound
from ministack.core.responses import error_response_json
from ministack.services import glue

from deftunes.embedded.aws_server import ACTIVE_RUN_STATES

Request = dict[str, Any]
Answer = tuple[Any, ...]
Handler = Callable[[Request], Answer]


def validate_start(start: Handler) -> Handler:
    """StartJobRun that refuses runs which Glue would refuse, or which MiniStack could not execute."""
    lock = threading.Lock()  # MiniStack serves requests in threads

    def start_job_run(request: Request) -> Answer:
        with lock:
            return _refusal(request.get("JobName", "")) or start(request)

    return start_job_run


def stop_containers(stop: Handler) -> Handler:
    """BatchStopJobRun that also removes the containers of the runs."""

    def batch_stop_job_run(request: Request) -> Answer:
        answer = stop(request)
        for run in request.get("JobRunIds", []):
            _remove(f"ministack-glue-{request['JobName']}-{run[:8]}")
        return answer

    return batch_stop_job_run


def patch_ministack() -> None:
    """Make MiniStack's Glue in this process behave as Glue does."""
    glue._start_job_run = validate_start(glue._start_job_run)
    glue._batch_stop_job_run = stop_containers(glue._batch_stop_job_run)


def _refusal(name: str) -> Answer | None:
    job = glue._jobs.get(name)
    if job is None:
        return None  # MiniStack reports this itself
    if job.get("Command", {}).get("Name") != "glueetl":
        return _error("InvalidInputException", f"expected {name} to be a glueetl job: no other runs here")
    if any(run["JobRunState"] in ACTIVE_RUN_STATES for run in glue._job_runs.get(name, [])):
        return _error("ConcurrentRunsExceededException", f"Concurrent runs exceeded for {name}")
    image = glue._glue_image_for_version(job.get("GlueVersion", ""))
    try:
        glue._get_docker().images.get(image)
    except (AttributeError, DockerException) as error:  # MiniStack has no client without an engine
        return _error("InternalServiceException", f"expected image {image}, got: {error}", 500)
    return None


def _error(code: str, message: str, status: int = 400) -> Answer:
    answer: Answer = error_response_json(code, message, status)
    return answer


def _remove(container: str) -> None:
    with suppress(NotFound):  # it may have exited already
        glue._get_docker().containers.get(container).remove(force=True, v=True)
