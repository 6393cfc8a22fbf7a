"""MiniStack behind one promise: what was acknowledged is kept, also when this process is killed.

    request  ->  MiniStack  ->  state saved (temporary file, fsync, rename)  ->  answer

MiniStack keeps S3 objects as they come, but the Glue catalog, secrets and buckets only at a clean stop. Here the
service that a mutating call changed is saved before the answer leaves. Saves run on one event loop, so no two cross. An
object that could not be kept (a full disk) is an error, not a warning in a log.

MiniStack knows no passwords and lets every web page call it; a page in a browser on this machine is refused here.
"""

import asyncio
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

_TARGETS = {
    "AWSGlue": "glue",
    "AmazonEC2ContainerServiceV20141113": "ecs",
    "Logs_20140328": "cloudwatch_logs",
    "secretsmanager": "secretsmanager",
}
GLUE_RUNS_ON = {"STARTING", "RUNNING", "STOPPING", "WAITING"}
_KILLED = 137
_TASKS_ARE_KEPT = timedelta(hours=1)
_TRIES_TO_COPY = 20
_READING = ("Get", "BatchGet", "List", "Describe", "Search", "Query", "Validate")
_SECONDS_TO_FINISH = 3.0
_SIDECAR = ".meta.json"

# What MiniStack could not keep while it served the request of this context.
_lost: ContextVar[list[str] | None] = ContextVar("lost", default=None)


class _Losses(logging.Handler):
    """Hears of the objects that MiniStack could not keep: it says so in its log only, and answers 200."""

    def emit(self, record: logging.LogRecord) -> None:
        lost = _lost.get()
        if lost is not None and record.getMessage().startswith("Failed to persist"):
            lost.append(record.getMessage())


async def durable(scope: Scope, receive: Receive, send: Send) -> None:
    """MiniStack's application, each change saved before it is acknowledged."""
    if scope["type"] == "lifespan":
        await ministack.app(scope, receive, _end_what_was_cut_off_first(send))
        return
    if is_from_a_web_page(scope):
        await send({"type": "http.response.start", "status": 403, "headers": []})
        await send({"type": "http.response.body", "body": b"not for web pages"})
        return
    if scope["type"] != "http" or scope["method"] in {"GET", "HEAD"}:
        await ministack.app(scope, receive, send)
        return
    service = changed_service(scope)
    lost: list[str] = []
    _lost.set(lost)

    async def save_then_send(message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] < HTTPStatus.MULTIPLE_CHOICES:
            if lost:
                # The server turns it into a 500, which every SDK tries again and then reports.
                raise OSError(lost[0])
            if service:
                save(service)
        await send(message)

    await ministack.app(scope, receive, save_then_send)


def _end_what_was_cut_off_first(send: Send) -> Send:
    async def end_then_send(message: Message) -> None:
        if message["type"] == "lifespan.startup.complete":
            end_cut_off_runs()
        await send(message)

    return end_then_send


def is_from_a_web_page(scope: Scope) -> bool:
    """Browsers name the page behind a call that changes anything; command lines and SDKs name none."""
    return any(name == b"origin" for name, _ in scope.get("headers", ()))


def end_cut_off_runs() -> None:
    """Fail what a stop of this process cut off.

    MiniStack brings Glue job runs back as running, for ever, and tasks as stopped with a container that still runs.
    """
    reason = "The local AWS was stopped while this ran"
    for _, runs in glue._job_runs.all_items():
        for run in runs:
            if run["JobRunState"] in GLUE_RUNS_ON:
                run["JobRunState"] = "FAILED"
                run["ErrorMessage"] = reason
                run["CompletedOn"] = run["LastModifiedOn"] = int(time.time())
    for _, task in ecs._tasks.all_items():
        if not task["stoppedAt"]:
            task.update(stoppedAt=ecs._iso(), stopCode="EssentialContainerExited", stoppedReason=reason)
            for container in task["containers"]:
                container.update(lastStatus="STOPPED", exitCode=_KILLED)


def forget_old_tasks(now: datetime) -> None:
    """Forget tasks that were stopped an hour ago, as ECS does: each is written at every save."""
    for key, task in list(ecs._tasks._data.items()):
        stopped = task["stoppedAt"]
        if stopped and now - datetime.fromisoformat(stopped) > _TASKS_ARE_KEPT:
            ecs._tasks._data.pop(key, None)


def changed_service(scope: Scope) -> str | None:
    """The service whose saved state a request changes, or None. Objects of S3 are not part of that state."""
    headers = dict(scope["headers"])
    target, _, operation = headers.get(b"x-amz-target", b"").decode("latin-1").partition(".")
    service = _TARGETS.get(target)
    if service:
        return None if operation.startswith(_READING) else service
    is_bucket = scope["path"].strip("/") != "" and "/" not in scope["path"].strip("/")
    return "s3" if is_bucket and scope["method"] in {"PUT", "DELETE"} else None


def save(service: str) -> None:
    """Write a service's state as MiniStack reads it at its start. Raises where MiniStack would only log."""
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
    """A service's state. ECS changes its tasks by threads, and a copy that meets such a change breaks off."""
    if service == "ecs":
        forget_old_tasks(datetime.now(UTC))
    copy = ministack._build_persistence_save_dict()[service]
    for _ in range(_TRIES_TO_COPY - 1):
        with suppress(RuntimeError):
            return copy()
    return copy()


def mend(objects: Path) -> None:
    """Undo half a write: a kill between an object's body and its sidecar left a new body with the old one's size.

    MiniStack works size and ETag out anew where there is no sidecar. Must run before it reads the folder.
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
    config.graceful_timeout = _SECONDS_TO_FINISH
    config.loglevel = "WARNING"
    await serve(durable, config, shutdown_trigger=stopped)  # type: ignore[arg-type]


def main(objects: Path, port: int, host: str = LOOPBACK) -> None:
    """Serve until SIGTERM; `objects` is MiniStack's S3_DATA_DIR."""
    logging.basicConfig(level=logging.WARNING)
    logging.getLogger().addHandler(_Losses())
    mend(objects)
    asyncio.run(_serve(host, port))


if __name__ == "__main__":
    main(Path(sys.argv[2]), int(sys.argv[1]))
