"""MiniStack made durable: what it has acknowledged survives a kill of this process.

    request  ->  MiniStack  ->  state saved (temporary file, fsync, rename)  ->  answer

MiniStack persists S3 objects at once, but the Glue catalog, secrets and buckets only at a clean stop. Here the state of
the service that a mutating call changed is saved before the response is sent. Saves run on one event loop and never
interleave. An object that could not be written (a full disk) is an error, not a warning in a log.

MiniStack checks no passwords and accepts calls from any web page; requests by a browser are refused here.
"""

import asyncio
import errno
import json
import logging
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any

from hypercorn.asyncio import serve
from hypercorn.config import Config
from ministack import app as ministack
from ministack.core import persistence
from ministack.services import ecs, glue

from deftunes.embedded.process import LOOPBACK

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_SERVICE_OF_TARGET = {
    "AWSGlue": "glue",
    "AmazonEC2ContainerServiceV20141113": "ecs",
    "Logs_20140328": "cloudwatch_logs",
    "secretsmanager": "secretsmanager",
}
ACTIVE_RUN_STATES = {"STARTING", "RUNNING", "STOPPING", "WAITING"}
_KILLED = 137
_TASK_RETENTION = timedelta(hours=1)
_COPY_ATTEMPTS = 20
_READ_OPERATIONS = ("Get", "BatchGet", "List", "Describe", "Search", "Query", "Validate")
_GRACEFUL_SHUTDOWN_SECONDS = 3.0
_SIDECAR = ".meta.json"
_DISK_FULL = os.strerror(errno.ENOSPC)

# The objects that MiniStack failed to write during the current request.
_failed_writes: ContextVar[list[str] | None] = ContextVar("failed_writes", default=None)


class _FailedWrites(logging.Handler):
    """Collects objects that MiniStack failed to write: it only logs the failure, and answers 200."""

    def emit(self, record: logging.LogRecord) -> None:
        failed = _failed_writes.get()
        if failed is not None and record.getMessage().startswith("Failed to persist"):
            failed.append(record.getMessage())


async def durable_app(scope: Scope, receive: Receive, send: Send) -> None:
    """MiniStack's ASGI application, which saves each change before it acknowledges it."""
    if scope["type"] == "lifespan":
        await ministack.app(scope, receive, _fail_interrupted_runs_at_startup(send))
        return
    if is_from_browser(scope):
        await send({"type": "http.response.start", "status": 403, "headers": []})
        await send({"type": "http.response.body", "body": b"not for web pages"})
        return
    if scope["type"] != "http" or scope["method"] in {"GET", "HEAD"}:
        await ministack.app(scope, receive, send)
        return
    service = changed_service(scope)
    failed: list[str] = []
    _failed_writes.set(failed)

    async def save_then_send(message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] < HTTPStatus.MULTIPLE_CHOICES:
            _expect_written(failed)
            if service:
                save(service)
        await send(message)

    try:
        await ministack.app(scope, receive, save_then_send)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        await _answer_disk_full(send)


def _expect_written(failed: list[str]) -> None:
    if any(_DISK_FULL in problem for problem in failed):
        raise OSError(errno.ENOSPC, failed[0])
    if failed:
        # The server answers 500, which SDKs retry and then report.
        raise OSError(failed[0])


async def _answer_disk_full(send: Send) -> None:
    """As MinIO does: SDKs do not retry it, and report the code."""
    body = b"<Error><Code>XMinioStorageFull</Code><Message>no space left in DEFTUNES_HOME</Message></Error>"
    headers = [(b"content-type", b"application/xml"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": HTTPStatus.INSUFFICIENT_STORAGE, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _fail_interrupted_runs_at_startup(send: Send) -> Send:
    async def fail_then_send(message: Message) -> None:
        if message["type"] == "lifespan.startup.complete":
            fail_interrupted_runs()
        await send(message)

    return fail_then_send


def is_from_browser(scope: Scope) -> bool:
    """Whether a web page made the request: browsers send its origin with calls that change anything, SDKs none."""
    return any(name == b"origin" for name, _ in scope.get("headers", ()))


def fail_interrupted_runs() -> None:
    """Fail the Glue runs and ECS tasks that a stop of this process interrupted.

    MiniStack restores such runs as running, for ever, and such tasks as stopped with a container that still runs.
    """
    reason = "The local AWS was stopped while this ran"
    for _, runs in glue._job_runs.all_items():
        for run in runs:
            if run["JobRunState"] in ACTIVE_RUN_STATES:
                run["JobRunState"] = "FAILED"
                run["ErrorMessage"] = reason
                run["CompletedOn"] = run["LastModifiedOn"] = int(time.time())
    for _, task in ecs._tasks.all_items():
        if not task["stoppedAt"]:
            task.update(stoppedAt=ecs._iso(), stopCode="EssentialContainerExited", stoppedReason=reason)
            for container in task["containers"]:
                container.update(lastStatus="STOPPED", exitCode=_KILLED)


def expire_stopped_tasks(now: datetime) -> None:
    """Delete tasks an hour after their stop, as ECS does: every save writes all of them."""
    for key, task in list(ecs._tasks._data.items()):
        stopped = task["stoppedAt"]
        if stopped and now - datetime.fromisoformat(stopped) > _TASK_RETENTION:
            ecs._tasks._data.pop(key, None)


def changed_service(scope: Scope) -> str | None:
    """The service whose saved state a request changes, or None. S3 objects are not part of that state."""
    headers = dict(scope["headers"])
    target, _, operation = headers.get(b"x-amz-target", b"").decode("latin-1").partition(".")
    service = _SERVICE_OF_TARGET.get(target)
    if service:
        return None if operation.startswith(_READ_OPERATIONS) else service
    is_bucket = scope["path"].strip("/") != "" and "/" not in scope["path"].strip("/")
    return "s3" if is_bucket and scope["method"] in {"PUT", "DELETE"} else None


def save(service: str) -> None:
    """Write a service's state in the format that MiniStack loads. Raises where MiniStack would only log."""
    state = {"__ministack_format__": persistence._state_format_version(service), "payload": _copy_of(service)}
    folder = Path(persistence.STATE_DIR)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = folder / f"{service}.json.new"
    with temporary.open("w", encoding="utf-8") as file:
        json.dump(state, file, default=persistence._json_default)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(folder / f"{service}.json")


def _copy_of(service: str) -> Any:
    """A service's state. Threads change the tasks of ECS, and a copy made at that moment raises RuntimeError."""
    if service == "ecs":
        expire_stopped_tasks(datetime.now(UTC))
    copy = ministack._build_persistence_save_dict()[service]
    for _ in range(_COPY_ATTEMPTS - 1):
        with suppress(RuntimeError):
            return copy()
    return copy()


def repair_objects(objects: Path) -> None:
    """Remove what a kill in the middle of a write left: temporary files, and sidecars older than their objects' bodies.

    A stale sidecar has the size of the previous body; without one, MiniStack computes size and ETag. Must run before
    MiniStack reads the folder.
    """
    for folder, _, names in os.walk(objects):
        for name in names:
            path = Path(folder, name)
            if name.endswith(".tmp"):
                path.unlink()
            elif name.endswith(_SIDECAR):
                body = path.with_name(name.removesuffix(_SIDECAR))
                if body.exists() and body.stat().st_mtime_ns > path.stat().st_mtime_ns:
                    path.unlink()


async def _serve(host: str, port: int) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)

    async def stopped() -> None:
        await stop.wait()

    config = Config()
    config.bind = [f"{host}:{port}"]
    config.keep_alive_timeout = 75
    config.graceful_timeout = _GRACEFUL_SHUTDOWN_SECONDS
    config.loglevel = "WARNING"
    await serve(durable_app, config, shutdown_trigger=stopped)  # type: ignore[arg-type]


def main(objects: Path, port: int, host: str = LOOPBACK) -> None:
    """Serve until SIGTERM; `objects` is MiniStack's S3_DATA_DIR."""
    logging.basicConfig(level=logging.WARNING)
    logging.getLogger().addHandler(_FailedWrites())
    repair_objects(objects)
    asyncio.run(_serve(host, port))


if __name__ == "__main__":
    main(Path(sys.argv[2]), int(sys.argv[1]))
