"""Start, find and stop the embedded services.

A command that needs a service checks whether its recorded process runs and is healthy. If all are, it takes no lock.
Otherwise it locks the home, so that concurrent commands start each service once, and starts what is missing on its
previous data and, if that is free, its previous port.
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
_START_SECONDS = 60.0
_RECOVERY_SECONDS = 15.0
_STOP_SECONDS = 15.0
_POLL_SECONDS = 0.02
_RESTARTS = 4
_RESTART_PAUSE_SECONDS = 0.5
_LOG_TAIL = 2000


class _Health(Enum):
    HEALTHY = auto()
    EXITED = auto()
    TIMED_OUT = auto()


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """The status of a service. `address` contains no secret; it and `pid` are None if the service is down."""

    service: Service
    is_up: bool
    address: str | None
    pid: int | None
    log: Path


def resolve(settings: Settings, needs: Iterable[Service]) -> Settings:
    """The settings completed with the addresses of the needed services; starts those that are unset and not running.

    Raises:
        DeftunesError: a service does not start; the message names its log.
        RetriableError: another command is starting or stopping services and takes too long.

    """
    if not settings.embedded:
        return settings
    servers = _embedded(settings, frozenset(needs))
    if not servers:
        return settings
    home = Home(settings.home)
    records = _healthy(home, servers)
    if records is None:
        with home.lock():
            settings = _start(home, servers, settings)
    else:
        for server, record in records:
            settings = _updated(settings, server, home, record)
    if any(server.service is Service.AWS for server in servers):
        export_aws(settings)
    return settings


def up(settings: Settings) -> Settings:
    """Start all services whose addresses are unset."""
    return resolve(settings, Service)


def down(settings: Settings) -> tuple[Service, ...]:
    """Stop all running services, by SIGKILL if a clean stop takes too long; returns them."""
    if not settings.home.exists():
        return ()
    home = Home(settings.home)
    stopped = []
    with home.lock():
        for server in reversed(_SERVERS):
            record = home.record(server.service)
            if record and record.process.is_alive():
                record.process.stop(server.stop_signal, _STOP_SECONDS)
                stopped.append(server.service)
            if record:
                server.cleanup(record)
    return tuple(stopped)


def service_statuses(settings: Settings) -> tuple[ServiceStatus, ...]:
    """The status of each service, running or not."""
    if not settings.home.exists():
        return tuple(
            ServiceStatus(service, False, None, None, settings.home / "log" / f"{service}.log") for service in Service
        )
    home = Home(settings.home)
    return tuple(_status(home, server) for server in _SERVERS)


def _embedded(settings: Settings, needs: frozenset[Service]) -> tuple[Server, ...]:
    unset = {
        Service.AWS: settings.lake is None,
        Service.POSTGRES: settings.songs_dsn is None or settings.warehouse_dsn is None,
        Service.API: settings.api_url is None,
    }
    wanted = {service for service in needs if unset[service]}
    if Service.API in wanted and settings.songs_dsn is None:
        wanted.add(Service.POSTGRES)  # it sells the songs of the catalogue
    return tuple(server for server in _SERVERS if server.service in wanted)


def _healthy(home: Home, servers: Iterable[Server]) -> list[tuple[Server, Record]] | None:
    healthy = []
    for server in servers:
        record = home.record(server.service)
        if not (record and record.is_initialized and record.process.is_alive() and server.is_healthy(record)):
            return None
        healthy.append((server, record))
    return healthy


def _start(home: Home, servers: Iterable[Server], settings: Settings) -> Settings:
    # Launch all before waiting for any, except for the API, which needs PostgreSQL's address.
    launched: list[tuple[Server, Record]] = []
    for server in servers:
        if server.service is Service.API:
            settings = _await_initialized(home, launched, settings)
            launched.clear()
        launched.append((server, _launch(home, server, settings)))
    return _await_initialized(home, launched, settings)


def _await_initialized(home: Home, launched: Iterable[tuple[Server, Record]], settings: Settings) -> Settings:
    for server, first in launched:
        record = _await_healthy(home, server, first, settings)
        if not record.is_initialized:
            server.initialize(home, record, settings)
            record = home.mark_initialized(server.service, record)
        settings = _updated(settings, server, home, record)
    return settings


def _launch(home: Home, server: Server, settings: Settings) -> Record:
    previous = home.record(server.service)
    if previous:
        # It may be in recovery, or the command that started it was killed before it was healthy.
        health = _wait(server, previous, _RECOVERY_SECONDS)
        if health is _Health.HEALTHY:
            return previous
        if health is _Health.TIMED_OUT:
            previous.process.stop(server.stop_signal, _STOP_SECONDS)
    facts = server.prepare(home)
    port = free_port(previous.port if previous else None)
    process = start(
        server.command(home, port, facts, settings),
        log=home.log(server.service),
        cwd=home.path,
        environment=environment(server.environment(home)),
    )
    record = Record(process, port, is_initialized=False, facts=facts)
    home.write_record(server.service, record)
    return record


def _await_healthy(home: Home, server: Server, record: Record, settings: Settings) -> Record:
    health = _wait(server, record, _START_SECONDS)
    for _ in range(_RESTARTS):
        if health is not _Health.EXITED:
            break
        # Its port may have been taken since it was chosen, or children of its killed predecessor are still ending.
        time.sleep(_RESTART_PAUSE_SECONDS)
        record = _launch(home, server, settings)
        health = _wait(server, record, _START_SECONDS)
    if health is _Health.HEALTHY:
        return record
    record.process.stop(server.stop_signal, _STOP_SECONDS)
    log = home.log(server.service)
    what = "it ended" if health is _Health.EXITED else f"it did not answer within {_START_SECONDS:.0f} s"
    raise DeftunesError(
        f"expected the embedded {server.service} to start on port {record.port}, but {what}. Its log is {log}, "
        f"which ends:\n{_tail(log)}\nRun `deftunes doctor`, or set the address of a server of your own"
    )


def _wait(server: Server, record: Record, seconds: float) -> _Health:
    deadline = time.monotonic() + seconds
    while record.process.is_alive():
        if server.is_healthy(record):
            return _Health.HEALTHY
        if time.monotonic() > deadline:
            return _Health.TIMED_OUT
        time.sleep(_POLL_SECONDS)
    return _Health.EXITED


def _updated(settings: Settings, server: Server, home: Home, record: Record) -> Settings:
    return settings.model_copy(update=server.update_settings(home, record, settings))


def _status(home: Home, server: Server) -> ServiceStatus:
    record = home.record(server.service)
    is_up = record is not None and record.process.is_alive() and server.is_healthy(record)
    if record is None or not is_up:
        return ServiceStatus(server.service, False, None, None, home.log(server.service))
    return ServiceStatus(server.service, True, server.address(record), record.process.pid, home.log(server.service))


def _tail(log: Path) -> str:
    try:
        return log.read_text(encoding="utf-8", errors="replace")[-_LOG_TAIL:].strip()
    except FileNotFoundError:
        return "(it wrote none)"
