"""The extract of a month of sessions into a folder."""

import json
import sys
import time
from pathlib import Path

from folder_lake import FolderLake
from month import END, START

from deftunes.adapters.http import PurchaseApi
from deftunes.core.entities import Entity
from deftunes.core.interval import Interval
from deftunes.extract.sessions import land_sessions
from deftunes.state.landings import Landings

if __name__ == "__main__":
    url, out = sys.argv[1:]
    month = Interval(START, END)
    began = time.perf_counter()
    with PurchaseApi(url, budget=120, timeout=60) as api:
        land_sessions(
            api, Landings(FolderLake(Path(out)), Entity.SESSIONS), month, month.days(), max_shrink=0.2, concurrency=8
        )
    print(json.dumps({"seconds": time.perf_counter() - began}))
