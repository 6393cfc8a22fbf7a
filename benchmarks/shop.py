"""The shop that a benchmark asks: its catalogue in silver, and a simulator of its API."""

from collections.abc import Iterator
from contextlib import contextmanager

from home import Platform
from month import END, START

from deftunes.core.services import Service
from support.catalogue import Catalogue
from support.simulator import Simulator, running_simulator

# How a stage is told the month. Songs are a snapshot: of theirs it is a name only.
IN_MONTH = ("--start", str(START), "--end", str(END))


@contextmanager
def open_shop(sessions: int, days: int) -> Iterator[Simulator]:
    """A simulator that sells this many sessions in so many days."""
    with running_simulator(
        users=max(100, sessions // 50),
        sessions_per_day=sessions // days,
        start="2025-12-01",
        clock="2026-03-01T00:00:00",
    ) as simulator:
        yield simulator


def publish_songs(platform: Platform, songs: int) -> Catalogue:
    """A catalogue of so many songs, in silver."""
    dsn = platform.up(Service.POSTGRES).songs_dsn
    assert dsn
    catalogue = Catalogue(dsn.get_secret_value())
    catalogue.run("load", "--rows", songs, "--replace")
    for stage in ("extract", "transform", "quality", "publish"):
        platform.run(stage, "songs", *IN_MONTH, DEFTUNES_ENGINE="embedded")
    return catalogue
