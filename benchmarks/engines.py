"""Transform, quality and publish on both engines, over the same landings: seconds and memory of cold processes.

    .venv/bin/python benchmarks/engines.py [--sessions 1000] [--days 1] [--songs 0] [--rounds 3]

The simulator sells so many sessions on these days; with --songs, the catalogue has so many songs instead, is published
once, and 1,000 of them are changed. Every round begins with the same landings in a copy of DEFTUNES_HOME. Prints the
medians, the ratio, and the highest resident memory of the process and its children; a result counts only where
both engines have written the same rows.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import psutil
from extract_sessions import MONTH, simulator

from deftunes import embedded
from deftunes.adapters.catalog import open_catalog, silver_table
from deftunes.core.entities import Entity
from deftunes.core.services import Service
from deftunes.core.settings import Settings

STAGES = ("transform", "quality", "publish")
CHANGED = 1_000


@dataclass(frozen=True, slots=True)
class Taken:
    """What one command took."""

    seconds: float
    mebibytes: int
    java: bool


class Platform:
    """A DEFTUNES_HOME of its own."""

    def __init__(self, home: Path, **variables: str) -> None:
        self.home = home
        self.variables = {**os.environ, **variables, "DEFTUNES_HOME": str(home)}

    def run(self, *words: str, **variables: str) -> Taken:
        """A command, measured."""
        begun = time.perf_counter()
        with subprocess.Popen(
            [sys.executable, "-m", "deftunes", *words],
            env={**self.variables, **variables}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        ) as process:  # fmt: skip
            watch = Watch(process.pid)
            watch.start()
            said = process.communicate()[0]
            seconds = time.perf_counter() - begun
            watch.join()
        if process.returncode:
            raise SystemExit(f"{' '.join(words)} ended with {process.returncode}:\n{said}")
        return Taken(seconds, watch.peak >> 20, watch.java)

    def rows(self, entity: Entity) -> list[str]:
        """Silver's rows without what differs from run to run."""
        settings = embedded.resolve(Settings(home=self.home), {Service.AWS})
        table = silver_table(open_catalog(settings), entity)
        assert table
        rows = table.scan().to_arrow()
        return sorted(map(repr, zip(*(rows[name].to_pylist() for name in rows.column_names), strict=True)))

    def down(self) -> None:
        """Stop the services."""
        embedded.down(Settings(home=self.home))

    @contextmanager
    def copy(self) -> Iterator["Platform"]:
        """The same state in another home; the services of this one are down."""
        with tempfile.TemporaryDirectory() as folder:
            home = Path(folder) / "home"
            subprocess.run(["cp", "-a", self.home, home], check=True)  # with its owners: PostgreSQL looks at them
            other = Platform(home, **{name: self.variables[name] for name in self.variables if name not in os.environ})
            other.variables["DEFTUNES_HOME"] = str(home)
            embedded.resolve(Settings(home=home), {Service.AWS})
            try:
                yield other
            finally:
                other.down()


class Watch(threading.Thread):
    """Looks at a process and its children ten times a second."""

    def __init__(self, pid: int) -> None:
        super().__init__()
        self._process = psutil.Process(pid)
        self.peak = 0
        self.java = False

    def run(self) -> None:
        """Until the process has ended."""
        with suppress(psutil.Error):
            while self._process.is_running() and self._process.status() != psutil.STATUS_ZOMBIE:
                self._look()
                time.sleep(0.1)

    def _look(self) -> None:
        memory = 0
        for process in (self._process, *self._process.children(recursive=True)):
            with suppress(psutil.Error):
                memory += process.memory_info().rss
                self.java |= process.name().startswith("java")
        self.peak = max(self.peak, memory)


def prepare(platform: Platform, options: argparse.Namespace) -> tuple[str, ...]:
    """Land what is to be measured; returns the words that name it to a stage."""
    days = ("--start", str(MONTH.start), "--end", str(MONTH.start + timedelta(days=options.days)))
    if not options.songs:
        with simulator(options.sessions, options.days) as url:
            platform.run("extract", "sessions", *days, DEFTUNES_API_URL=url)
        return ("sessions", *days)
    dsn = embedded.resolve(Settings(home=platform.home), {Service.POSTGRES}).songs_dsn
    assert dsn
    catalogue = {**platform.variables, "CATALOGUE": dsn.get_secret_value()}
    for words in (("load", "--rows", str(options.songs)), ("mutate", "--seed", "1", "--updates", str(CHANGED))):
        subprocess.run(
            [sys.executable, "-m", "song_catalog", *words, "--dsn-env", "CATALOGUE"],
            env=catalogue, check=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        platform.run("extract", "songs", *days)
        if words[0] == "load":
            taken = [platform.run(stage, "songs", *days, DEFTUNES_ENGINE="embedded") for stage in STAGES]
            print(f"first load of {options.songs} songs, embedded: {describe(taken)}")
    return ("songs", *days)


def describe(taken: list[Taken]) -> str:
    """Seconds and memory of each stage."""
    each = ", ".join(f"{name} {one.seconds:.1f} s" for name, one in zip(STAGES, taken, strict=True))
    java = "java" if any(one.java for one in taken) else "no java"
    return f"{sum(one.seconds for one in taken):.1f} s ({each}), {max(one.mebibytes for one in taken)} MiB, {java}"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, default=1_000)
    parser.add_argument("--days", type=int, default=1)
    parser.add_argument("--songs", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--engines", default="embedded,spark")
    options = parser.parse_args()
    seconds: dict[str, list[float]] = {engine: [] for engine in options.engines.split(",")}
    rows: dict[str, list[str]] = {}
    with tempfile.TemporaryDirectory() as folder:
        platform = Platform(Path(folder) / "home", DEFTUNES_LOOK_BACK="0", DEFTUNES_API_URL="http://127.0.0.1:9")
        words = prepare(platform, options)
        platform.down()
        for _ in range(options.rounds):
            for engine, measured in seconds.items():
                with platform.copy() as copied:
                    taken = [copied.run(stage, *words, DEFTUNES_ENGINE=engine) for stage in STAGES]
                    measured.append(sum(one.seconds for one in taken))
                    print(f"{engine}: {describe(taken)}")
                    if engine not in rows:
                        rows[engine] = copied.rows(Entity(words[0]))
    (first, *others) = rows.values()
    if any(other != first for other in others):
        raise SystemExit("the engines have not written the same rows: no ratio")
    medians = {engine: statistics.median(each) for engine, each in seconds.items()}
    least = min(medians.values())
    print(
        json.dumps(
            {"rows": len(first), **{name: f"{each:.1f} s, {each / least:.2f} x" for name, each in medians.items()}}
        )
    )


if __name__ == "__main__":
    main()
