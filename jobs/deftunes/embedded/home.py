"""DEFTUNES_HOME: data, logs and process records of the embedded services.

<service>/       data            log/<service>.log    output
run/<service>    record          lock              held while services are started or stopped
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from deftunes.core.errors import BadUsageError, DeftunesError, RetriableError
from deftunes.embedded.process import Process

_LOCK_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Record:
    """The state of a service: its last process, its port, and whether it has been initialized."""

    process: Process
    port: int
    is_initialized: bool = False
    facts: dict[str, str] = field(default_factory=dict)


class Home:
    """One DEFTUNES_HOME; created if missing.

    Raises:
        DeftunesError: it cannot be created or written.

    """

    def __init__(self, path: Path) -> None:
        try:
            # Absolute: the services outlive the command, and the next command may run in another directory.
            self.path = path.expanduser().absolute()
            for folder in (self.path, self.path / "run", self.path / "log"):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except RuntimeError:  # ~somebody whom this machine does not know
            raise BadUsageError(f"DEFTUNES_HOME: expected a folder, got the home of nobody: {path}") from None
        except OSError as error:
            raise DeftunesError(
                f"expected a folder to keep the embedded services in, got {error.strerror} for {error.filename}. "
                "Set DEFTUNES_HOME to a folder that can be written"
            ) from error

    def data(self, service: str) -> Path:
        """The data folder of a service."""
        return self.path / service

    def log(self, service: str) -> Path:
        """The log file of a service."""
        return self.path / "log" / f"{service}.log"

    def secret(self, name: str) -> Path:
        """The path of a file that only this user can read."""
        return self.path / "run" / f"{name}.secret"

    def record(self, service: str) -> Record | None:
        """The last record of a service, running or not; None before its first start."""
        try:
            value = json.loads(self._record_path(service).read_bytes())
            # A copy of a home must not take the original's servers for its own.
            if value.pop("home", self._identity()) != self._identity():
                return None
            return Record(**{**value, "process": Process(**value["process"])})
        except (FileNotFoundError, AttributeError, ValueError, TypeError, KeyError):
            # An unreadable record counts as none: the service is started again on its data.
            return None

    def write_record(self, service: str, record: Record) -> None:
        """Replace the record of a service."""
        write_atomically(self._record_path(service), json.dumps({**asdict(record), "home": self._identity()}))

    def mark_initialized(self, service: str, record: Record) -> Record:
        """Record that the service is initialized, not only running."""
        done = replace(record, is_initialized=True)
        self.write_record(service, done)
        return done

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Lock this home, so that concurrent commands start each service once.

        Raises:
            RetriableError: another command held the lock for too long.

        """
        from filelock import FileLock, Timeout

        # Only flock will do: the system releases it when this process dies. The services do not inherit it.
        lock = FileLock(self.path / "lock", timeout=_LOCK_SECONDS, fallback_to_soft=False)
        try:
            lock.acquire()
        except Timeout:
            raise RetriableError(
                f"expected to lock {lock.lock_file} within {_LOCK_SECONDS:.0f} s, got none: another command starts or "
                "stops the embedded services. Run the command again when it has ended"
            ) from None
        try:
            yield
        finally:
            lock.release()

    def _identity(self) -> str:
        """The same after a move, another after a copy."""
        status = self.path.stat()
        return f"{status.st_dev}:{status.st_ino}"

    def _record_path(self, service: str) -> Path:
        return self.path / "run" / service


def write_atomically(path: Path, text: str) -> None:
    """Replace a file atomically; only this user can read it."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    temporary.replace(path)
