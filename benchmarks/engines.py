"""Transform, quality and publish on both engines, over the same landings: seconds and memory of cold processes.

A batch has the sessions of one day or of a month; with --engine-songs a catalogue is published, and 1,000 of its songs
are changed. Every round begins with the same landings in a copy of DEFTUNES_HOME. A result counts only where both
engines have written the same rows.
"""

import argparse
import statistics
import tempfile
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path

from home import Platform, Taken
from month import START
from shop import IN_MONTH, open_shop, publish_songs

from deftunes.core.entities import Entity
from deftunes.core.services import Service

STAGES = ("transform", "quality", "publish")
CHANGED = 1_000


def land_sessions(sessions: int, platform: Platform) -> tuple[str, ...]:
    """Land them; returns the words that name them to a stage."""
    days = max(1, min(31, sessions // 1_000))
    words = ("sessions", "--start", str(START), "--end", str(START + timedelta(days=days)))
    with open_shop(sessions, days) as simulator:
        platform.run("extract", *words, DEFTUNES_API_URL=simulator.url)
    return words


def land_songs(songs: int, platform: Platform) -> tuple[str, ...]:
    """Publish a catalogue and land its changes; returns the words that name them to a stage."""
    words = ("songs", *IN_MONTH)
    catalogue = publish_songs(platform, songs)
    catalogue.run("mutate", "--seed", 1, "--updates", CHANGED)
    platform.run("extract", *words)
    return words


def _table(title: str, taken: dict[str, list[list[Taken]]], failure: str) -> str:
    """What each engine took, as multiples of the embedded one."""
    lines = [f"\n{title}", f"{'':28} {'seconds':>8} {'ratio':>7} {'of them transform':>18} {'peak MiB':>9}"]
    base = 0.0
    for engine, rounds in taken.items():
        seconds = statistics.median(sum(one.seconds for one in stages) for stages in rounds)
        transform = statistics.median(stages[0].seconds for stages in rounds)
        peak = max(one.mebibytes for stages in rounds for one in stages)
        base = base or seconds
        java = "java" if any(one.java for stages in rounds for one in stages) else "no java"
        ratio = failure or f"{seconds / base:.2f} x"
        lines.append(f"{engine + ', ' + java:28} {seconds:8.1f} {ratio:>7} {transform:18.1f} {peak:9}")
    return "\n".join(lines)


def add_options(parser: argparse.ArgumentParser) -> None:
    """The sizes."""
    parser.add_argument("--engine-sessions", type=int, nargs="*", default=[1_000, 30_000], help="sessions of a batch")
    parser.add_argument("--engine-songs", type=int, default=0, help="songs of the catalogue, 1,000 of them changed")
    parser.add_argument("--engines", default="embedded,spark", help="which to measure")


def run(options: argparse.Namespace) -> Iterator[str]:
    """Measure batches of sessions, each over as many days as a shop of a thousand a day takes, and one of songs."""
    for sessions in options.engine_sessions:
        yield _measure(f"a batch of {sessions} sessions", options, partial(land_sessions, sessions))
    if options.engine_songs:
        title = f"{CHANGED} changes of {options.engine_songs} songs"
        yield _measure(title, options, partial(land_songs, options.engine_songs))


def _measure(title: str, options: argparse.Namespace, land: Callable[[Platform], tuple[str, ...]]) -> str:
    taken: dict[str, list[list[Taken]]] = {engine: [] for engine in options.engines.split(",")}
    rows: dict[str, list[str]] = {}
    with tempfile.TemporaryDirectory() as folder:
        platform = Platform(Path(folder) / "home", DEFTUNES_LOOK_BACK="0", DEFTUNES_API_URL="http://127.0.0.1:9")
        words = land(platform)
        platform.down()
        for _ in range(options.rounds):
            for engine, measured in taken.items():
                with platform.copy(Service.AWS) as copied:
                    measured.append([copied.run(stage, *words, DEFTUNES_ENGINE=engine) for stage in STAGES])
                    if engine not in rows:
                        rows[engine] = copied.rows(Entity(words[0]))
    (first, *others) = rows.values()
    return _table(f"{title}, {len(first)} rows", taken, "other rows" if any(other != first for other in others) else "")
