"""Start, find and stop the embedded parts.

A command that needs a part looks whether the recorded process still runs and answers; where all do, that is all, and
no lock is taken. Otherwise it takes the home's lock, so that two commands at once start each part once, and starts
what is missing on the data and, where it is free, the port it had before.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path

from deftunes.core.errors import DeftunesError
from deftunes.core.services import Service
from deftunes.core.settings import Settings, environment, export_aws
from deftunes.embedded.api import Api
from deftunes.embedded.aws import Aws
from deftunes.embedded.home import Home, Record
from deftunes.embedded.postgres import Postgres
from deftunes.embedded.process import free_port, start
from deftunes.embedded.server import Server

_SERVERS: tuple[Server, ...] = (Aws(), Postgres(), Api())
_ANSWER_SECONDS = 60.0
_RECOVERY_SECONDS = 15.0
_STOP_SECONDS = 15.0
_POLL_SECONDS = 0.02
_RESTARTS = 4
_RESTART_PAUSE_SECONDS = 0.5
_LOG_TAIL = 2000


class _Outcome(Enum):
    ANSWERS = auto()
    ENDED = auto()
    SILENT = auto()


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """How a part is. `address` holds no secret; it and `pid` are None where the part is down."""

    part: Service
    is_up: bool
    address: str | None
    pid: int | None
    log: Path


def resolve(settings: Settings, needs: Iterable[Service]) -> Settings:
    """The settings with the addresses of the needed parts filled in; starts those that are unset and not up.

    Raises:
        DeftunesError: a part does not start; names its log.
        RetriableError: another command is starting or stopping parts and does not end.

    """
    if not settings.embedded:
        return settings
    servers = _embedded(settings, frozenset(needs))
    if not servers:
        return settings
    home = Home(settings.home)
    records = _ready(home, servers)
    if records is None:
        with home.lock():
            settings = _start(home, servers, settings)
    else:
        for server, record in records:
            settings = _filled(server, home, record, settings)
    if any(server.part is Service.AWS for server in servers):
        export_aws(settings)
    return settings


def up(settings: Settings) -> Settings:
    """Start every part whose address is unset."""
    return resolve(settings, Service)


def down(settings: Settings) -> tuple[Service, ...]:
    """Stop every part that runs, cleanly if it lets itself; returns which."""
    if not settings.home.exists():
        return ()
    home = Home(settings.home)
    stopped = []
    with home.lock():
        for server in reversed(_SERVERS):
            record = home.record(server.part)
            if record and record.process.is_alive():
                record.process.end(server.stop_signal, _STOP_SECONDS)
                stopped.append(server.part)
            if record:
                server.tidy(record)
    return tuple(stopped)


def parts(settings: Settings) -> tuple[ServiceStatus, ...]:
    """How each part is, started or not."""
    if not settings.home.exists():
        return tuple(ServiceStatus(part, False, None, None, settings.home / "log" / f"{part}.log") for part in Service)
    home = Home(settings.home)
    return tuple(_status(home, server) for server in _SERVERS)


def _embedded(settings: Settings, needs: frozenset[Service]) -> tuple[Server, ...]:
    unset = {
        Service.AWS: settings.lake is None,
        Service.POSTGRES: settings.songs_dsn is None or settings.warehouse_dsn is None,
        Service.API: settings.api_url is None,
    }
    wanted = {part for part in needs if unset[part]}
    if Service.API in wanted and settings.songs_dsn is None:
        wanted.add(Service.POSTGRES)  # what it sells comes from the catalogue
    return tuple(server for server in _SERVERS if server.part in wanted)


def _ready(home: Home, servers: Iterable[Server]) -> list[tuple[Server, Record]] | None:
    ready = []
    for server in servers:
        record = home.record(server.part)
        if not (record and record.is_furnished and record.process.is_alive() and server.answers(record)):
            return None
        ready.append((server, record))
    return ready


def _start(home: Home, servers: Iterable[Server], settings: Settings) -> Settings:
    # All are begun before any is waited for, but for the one that needs another's address to begin.
    begun: list[tuple[Server, Record]] = []
    for server in servers:
        if server.part is Service.API:
            settings = _finish(home, begun, settings)
            begun.clear()
        begun.append((server, _begin(home, server, settings)))
    return _finish(home, begun, settings)


def _finish(home: Home, begun: Iterable[tuple[Server, Record]], settings: Settings) -> Settings:
    for server, first in begun:
        record = _answering(home, server, first, settings)
        if not record.is_furnished:
            server.furnish(home, record, settings)
            record = home.furnished(server.part, record)
        settings = _filled(server, home, record, settings)
    return settings


def _begin(home: Home, server: Server, settings: Settings) -> Record:
    before = home.record(server.part)
    if before:
        # It may be recovering, or its starter was killed before it was ready.
        outcome = _wait(server, before, _RECOVERY_SECONDS)
        if outcome is _Outcome.ANSWERS:
            return before
        if outcome is _Outcome.SILENT:
            before.process.end(server.stop_signal, _STOP_SECONDS)
    facts = server.prepare(home)
    port = free_port(before.port if before else None)
    process = start(
        server.command(home, port, facts, settings),
        log=home.log(server.part),
        cwd=home.path,
        environment=environment(server.environment(home)),
    )
    record = Record(process, port, is_furnished=False, facts=facts)
    home.write_record(server.part, record)
    return record


def _answering(home: Home, server: Server, record: Record, settings: Settings) -> Record:
    outcome = _wait(server, record, _ANSWER_SECONDS)
    for _ in range(_RESTARTS):
        if outcome is not _Outcome.ENDED:
            break
        # Its port may have been taken between our look and its start, or its killed forerunner's children linger.
        time.sleep(_RESTART_PAUSE_SECONDS)
        record = _begin(home, server, settings)
        outcome = _wait(server, record, _ANSWER_SECONDS)
    if outcome is _Outcome.ANSWERS:
        return record
    record.process.end(server.stop_signal, _STOP_SECONDS)
    log = home.log(server.part)
    what = "it ended" if outcome is _Outcome.ENDED else f"it did not answer within {_ANSWER_SECONDS:.0f} s"
    raise DeftunesError(
        f"expected the embedded {server.part} to start on port {record.port}, but {what}. Its log is {log}, "
        f"which ends:\n{_tail(log)}\nRun `deftunes doctor`, or set the address of a server of your own"
    )


def _wait(server: Server, record: Record, seconds: float) -> _Outcome:
    deadline = time.monotonic() + seconds
    while record.process.is_alive():
        if server.answers(record):
            return _Outcome.ANSWERS
        if time.monotonic() > deadline:
            return _Outcome.SILENT
        time.sleep(_POLL_SECONDS)
    return _Outcome.ENDED


def _filled(server: Server, home: Home, record: Record, settings: Settings) -> Settings:
    return settings.model_copy(update=server.fill(home, record, settings))


def _status(home: Home, server: Server) -> ServiceStatus:
    record = home.record(server.part)
    is_up = record is not None and record.process.is_alive() and server.answers(record)
    if record is None or not is_up:
        return ServiceStatus(server.part, False, None, None, home.log(server.part))
    return ServiceStatus(server.part, True, server.address(record), record.process.pid, home.log(server.part))


def _tail(log: Path) -> str:
    try:
        return log.read_text(encoding="utf-8", errors="replace")[-_LOG_TAIL:].strip()
    except FileNotFoundError:
        return "(it wrote none)"
