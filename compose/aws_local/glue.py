"""What MiniStack's Glue leaves out: one run of a job at a time, a stop that stops, and no success of what never ran.

    StartJobRun, BatchStopJobRun  ->  this  ->  MiniStack

A run is refused while another one of its job goes on, as Glue does, and where it could only be made up: MiniStack
calls a run a success when it finds no engine or no image, and would run a `pythonshell` job in its own container.
"""

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from docker.errors import DockerException, NotFound
from ministack.core.responses import error_response_json
from ministack.services import glue

from deftunes.embedded.aws_server import GLUE_RUNS_ON

Request = dict[str, Any]
Answer = tuple[Any, ...]
Handler = Callable[[Request], Answer]


def one_at_a_time(start: Handler) -> Handler:
    """StartJobRun that asks first whether this run can be what its answer promises."""
    lock = threading.Lock()  # requests are served by threads

    def start_job_run(request: Request) -> Answer:
        with lock:
            return _refusal(request.get("JobName", "")) or start(request)

    return start_job_run


def with_containers(stop: Handler) -> Handler:
    """BatchStopJobRun that ends the runs' containers, too."""

    def batch_stop_job_run(request: Request) -> Answer:
        answer = stop(request)
        for run in request.get("JobRunIds", []):
            _remove(f"ministack-glue-{request['JobName']}-{run[:8]}")
        return answer

    return batch_stop_job_run


def govern() -> None:
    """From now on, MiniStack's Glue in this process does what Glue does."""
    glue._start_job_run = one_at_a_time(glue._start_job_run)
    glue._batch_stop_job_run = with_containers(glue._batch_stop_job_run)


def _refusal(name: str) -> Answer | None:
    job = glue._jobs.get(name)
    if job is None:
        return None  # MiniStack says so itself
    if job.get("Command", {}).get("Name") != "glueetl":
        return _error("InvalidInputException", f"expected {name} to be a glueetl job: no other runs here")
    if any(run["JobRunState"] in GLUE_RUNS_ON for run in glue._job_runs.get(name, [])):
        return _error("ConcurrentRunsExceededException", f"Concurrent runs exceeded for {name}")
    image = glue._glue_image_for_version(job.get("GlueVersion", ""))
    try:
        glue._get_docker().images.get(image)
    except (AttributeError, DockerException) as error:  # without an engine MiniStack has no client
        return _error("InternalServiceException", f"expected image {image}, got: {error}", 500)
    return None


def _error(code: str, message: str, status: int = 400) -> Answer:
    answer: Answer = error_response_json(code, message, status)
    return answer


def _remove(container: str) -> None:
    with suppress(NotFound):  # it may have ended by itself
        glue._get_docker().containers.get(container).remove(force=True, v=True)
