"""The demo: a song catalogue, and the production pipeline on embedded services, day by day."""

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from deftunes.core import layout
from deftunes.core.errors import BadUsageError, DeftunesError
from deftunes.core.interval import Interval
from deftunes.core.settings import environment
from deftunes.core.stages import PipelineName
from deftunes.pipeline import Outcome, run_pipeline

if TYPE_CHECKING:
    from deftunes.adapters.warehouse import QueryResult, Warehouse
    from deftunes.core.settings import Settings
    from deftunes.resources import Resources

_DSN = "SONG_CATALOG_DSN"
_SHOWN_ROWS = 8


def load_catalogue(settings: "Settings", songs: Path | None) -> str:
    """Load MSD's songs where a file is given, else generate a catalogue if there is none; says which."""
    if settings.songs_dsn is None:
        raise BadUsageError(
            "expected DEFTUNES_SONGS_DSN to be set, got nothing, and DEFTUNES_EMBEDDED says to start nothing instead"
        )
    chosen = ["--file", str(songs), "--replace"] if songs else ["--if-missing"]
    loaded = subprocess.run(  # noqa: S603 - our own module, in a process of its own: the pipeline never imports it
        [sys.executable, "-m", "song_catalog", "load", "--dsn-env", _DSN, *chosen],
        env=environment({_DSN: settings.songs_dsn.get_secret_value()}),
        capture_output=True,
        text=True,
        check=False,
    )
    if loaded.returncode:
        raise DeftunesError(f"the song catalogue cannot be loaded: {loaded.stderr.strip()}")
    rows = json.loads(loaded.stdout)["rows"]
    return f"Loaded {rows} songs into deftunes.songs" if rows else "deftunes.songs is there already"


def demo_days(resources: "Resources", first: date, last: date) -> Iterator[tuple[Interval, Iterator[Outcome]]]:
    """The pipeline of each day, one after the other as in production."""
    for interval in Interval(first, last).chunks(1):
        yield interval, run_pipeline(resources, PipelineName.ALL, interval)


def show_views(warehouse: "Warehouse") -> Iterator[tuple[str, "QueryResult"]]:
    """The first rows of each BI view, by name."""
    for view in layout.BI_VIEWS:
        yield view, warehouse.query(f"select * from {layout.BI_SCHEMA}.{view} order by 1, 2, 3 limit {_SHOWN_ROWS}")
