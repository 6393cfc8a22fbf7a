"""A DEFTUNES_HOME for a benchmark, and what a command took: seconds, memory of its processes, whether one was Java.

A command that prints JSON lines with a `stage`, as `deftunes run --json` does, is also measured stage by stage.
"""

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from deftunes import embedded
from deftunes.adapters.catalog import open_catalog, silver_table
from deftunes.core.entities import Entity
from deftunes.core.services import Service
from deftunes.core.settings import Settings

# As it was: to resolve services adds their addresses, which are of one home.
_ENVIRONMENT = dict(os.environ)
_POLL = 0.1


@dataclass(frozen=True, slots=True)
class Taken:
    """What one command took: seconds, MiB of all its processes at the peak, and whether one of them was Java.

    `processor`: seconds of a processor of all its processes; what services did for it is not in them.
    `stages`: the seconds in each stage by its own account. `reached`: the seconds from the start of the process until
    the stage's last outcome came.
    """

    seconds: float
    mebibytes: int
    java: bool
    processor: float = 0.0
    stages: Mapping[str, float] = field(default_factory=dict)
    reached: Mapping[str, float] = field(default_factory=dict)


class CommandError(Exception):
    """A command failed; the text is what it said."""


def measure(command: Sequence[str], environment: Mapping[str, str] | None = None) -> Taken:
    """Run a command to its end.

    Raises:
        CommandError: it ended with another code than 0.
    """
    stages: dict[str, float] = {}
    reached: dict[str, float] = {}
    said: list[str] = []
    with tempfile.TemporaryFile("w+") as complaints:
        begun = time.perf_counter()
        with subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=complaints, text=True, bufsize=1
        ) as process:
            watch = Watch(process.pid)
            watch.start()
            assert process.stdout
            for line in process.stdout:
                said.append(line)
                if (outcome := _outcome(line)) is not None:
                    stage = outcome["stage"]
                    stages[stage] = stages.get(stage, 0.0) + float(outcome.get("seconds", 0.0))
                    reached[stage] = time.perf_counter() - begun
            process.wait()
            seconds = time.perf_counter() - begun
            watch.join()
        if process.returncode:
            complaints.seek(0)
            raise CommandError(
                f"{' '.join(command)} ended with {process.returncode}:\n{complaints.read() or ''.join(said)}"
            )
    return Taken(seconds, watch.peak >> 20, watch.java, watch.processor, stages, reached)


def _outcome(line: str) -> dict[str, object] | None:
    with suppress(ValueError):
        outcome = json.loads(line)
        if isinstance(outcome, dict) and isinstance(outcome.get("stage"), str):
            return outcome
    return None


class Watch(threading.Thread):
    """Looks at a process and its children ten times a second."""

    def __init__(self, pid: int) -> None:
        super().__init__()
        self._process = psutil.Process(pid)
        self._used: dict[int, float] = {}
        self.peak = 0
        self.java = False

    @property
    def processor(self) -> float:
        """Seconds of a processor, up to the last look at each process."""
        return sum(self._used.values())

    def run(self) -> None:
        """Until the process has ended."""
        with suppress(psutil.Error):
            while self._process.is_running() and self._process.status() != psutil.STATUS_ZOMBIE:
                self._look()
                time.sleep(_POLL)

    def _look(self) -> None:
        memory = 0
        for process in (self._process, *self._process.children(recursive=True)):
            with suppress(psutil.Error):
                memory += process.memory_info().rss
                times = process.cpu_times()
                self._used[process.pid] = times.user + times.system
                self.java |= process.name().startswith("java")
        self.peak = max(self.peak, memory)


class Platform:
    """A DEFTUNES_HOME of its own; `variables` are settings of all its commands."""

    def __init__(self, home: Path, **variables: str) -> None:
        self.home = home
        self.variables = variables

    def run(self, *words: str, **variables: str) -> Taken:
        """A command, measured."""
        try:
            return measure(
                [sys.executable, "-m", "deftunes", *words],
                {**_ENVIRONMENT, **self.variables, **variables, "DEFTUNES_HOME": str(self.home)},
            )
        except CommandError as error:
            raise SystemExit(str(error)) from error

    def rows(self, entity: Entity) -> list[str]:
        """Silver's rows without what differs from run to run."""
        table = silver_table(open_catalog(self.up(Service.AWS)), entity)
        assert table
        rows = table.scan().to_arrow()
        return sorted(map(repr, zip(*(rows[name].to_pylist() for name in rows.column_names), strict=True)))

    def up(self, *services: Service) -> Settings:
        """Start these services, unless they are up, and say where they are."""
        return embedded.resolve(Settings(home=self.home), set(services))

    def down(self) -> None:
        """Stop the services."""
        embedded.down(Settings(home=self.home))

    @contextmanager
    def copy(self, *services: Service) -> Iterator["Platform"]:
        """The same state in another home with these services up, while this lasts; those of this one are down."""
        with tempfile.TemporaryDirectory() as folder:
            other = Platform(Path(folder) / "home", **self.variables)
            subprocess.run(["cp", "-a", self.home, other.home], check=True)  # with its owners: PostgreSQL looks at them
            try:
                other.up(*services)
                yield other
            finally:
                other.down()

    def warehouse(self) -> str:
        """The address of its warehouse, for clients of PostgreSQL."""
        dsn = self.up(Service.POSTGRES).warehouse_dsn
        assert dsn
        return dsn.get_secret_value()
