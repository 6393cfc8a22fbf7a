"""The extract of songs into a folder: everything, or what changed since the landing that is there."""

import json
import sys
import time
from datetime import date
from pathlib import Path

from folder_lake import FolderLake

from deftunes.adapters.songs_source import SongsSource
from deftunes.core import layout
from deftunes.core.entities import Entity
from deftunes.core.interval import Interval
from deftunes.extract.songs import land_songs
from deftunes.state.landings import Landings

if __name__ == "__main__":
    dsn, out, kind = sys.argv[1:]
    began = time.perf_counter()
    landings = Landings(FolderLake(Path(out)), Entity.SONGS)
    land_songs(
        SongsSource(dsn),
        landings,
        Interval(date(2026, 1, 1), date(2026, 1, 2)),
        published=None if kind == "full" else landings.in_use(layout.SNAPSHOT),
        conflicting=0,
        full_after=30,
        max_shrink=0.2,
    )
    print(json.dumps({"seconds": time.perf_counter() - began}))
