"""DEFTUNES_HOME: data, logs and process records of the embedded parts.

<part>/       data            log/<part>.log    output
run/<part>    record          lock              held while parts are started or stopped
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from deftunes.core.errors import DeftunesError, RetriableError
from deftunes.embedded.process import Process

_LOCK_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Record:
    """The state of a part: its last process, its port, and whether it has been initialized."""

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
        # Absolute: the parts outlive the command, and the next command may run in another directory.
        self.path = path.expanduser().absolute()
        try:
            for folder in (self.path, self.path / "run", self.path / "log"):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise DeftunesError(
                f"expected a folder to keep the embedded parts in, got {error.strerror} for {error.filename}. "
                "Set DEFTUNES_HOME to a folder that can be written"
            ) from error

    def data(self, part: str) -> Path:
        """The data folder of a part."""
        return self.path / part

    def log(self, part: str) -> Path:
        """The log file of a part."""
        return self.path / "log" / f"{part}.log"

    def secret(self, name: str) -> Path:
        """The path of a file that only this user can read."""
        return self.path / "run" / f"{name}.secret"

    def record(self, part: str) -> Record | None:
        """The last record of a part, running or not; None before its first start."""
        try:
            value = json.loads(self._record_path(part).read_bytes())
            return Record(**{**value, "process": Process(**value["process"])})
        except (FileNotFoundError, ValueError, TypeError, KeyError):
            # An unreadable record counts as none: the part is started again on its data.
            return None

    def write_record(self, part: str, record: Record) -> None:
        """Replace the record of a part."""
        write_atomically(self._record_path(part), json.dumps(asdict(record)))

    def mark_initialized(self, part: str, record: Record) -> Record:
        """Record that the part is initialized, not only running."""
        done = replace(record, is_initialized=True)
        self.write_record(part, done)
        return done

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Lock this home, so that concurrent commands start each part once.

        Raises:
            RetriableError: another command held the lock for too long.

        """
        from filelock import FileLock, Timeout

        # Only flock will do: the system releases it when this process dies. The parts do not inherit it.
        lock = FileLock(self.path / "lock", timeout=_LOCK_SECONDS, fallback_to_soft=False)
        try:
            lock.acquire()
        except Timeout:
            raise RetriableError(
                f"expected to lock {lock.lock_file} within {_LOCK_SECONDS:.0f} s, got none: another command starts or "
                "stops the embedded parts. Run the command again when it has ended"
            ) from None
        try:
            yield
        finally:
            lock.release()

    def _record_path(self, part: str) -> Path:
        return self.path / "run" / part


def write_atomically(path: Path, text: str) -> None:
    """Replace a file atomically; only this user can read it."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    temporary.replace(path)
