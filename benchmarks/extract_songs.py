"""Songs: the extract against a raw `COPY ... (format binary)` to nowhere, in one run.

    SONGS_DSN=postgresql://... python benchmarks/extract_songs.py [--rows 1000000] [--rounds 3]

Fills deftunes.songs of that database (a scratch one: what is there is replaced) with a generated catalogue, copied
until it has `rows`. Then prints the medians, their ratio, and the peak memory of the extract's process; and the same
for a run that finds 1 % changed. Both write to this machine's disk; S3 is left out, it is the same for every tool.
"""

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

_GENERATED = 10_000
_FILL = """
insert into deftunes.songs
select 'TR' || upper(substr(md5(track_id || copy), 1, 16)), title, song_id, release, artist_id, artist_mbid,
       artist_name, duration, artist_familiarity, artist_hotttnesss, year, track_7digitalid, shs_perf, shs_work
from deftunes.songs, generate_series(2, %s) as copy
"""


class Nowhere:
    """Takes everything and keeps nothing."""

    def write(self, data: bytes) -> int:
        """Forget it."""
        return len(data)


def fill(dsn: str, rows: int) -> None:
    """Make the catalogue."""
    import psycopg2

    from song_catalog.generator import generate
    from song_catalog.loader import load_songs

    connection = psycopg2.connect(dsn)
    load_songs(connection, generate(1, min(rows, _GENERATED)), replace=True)
    with connection.cursor() as cursor:
        cursor.execute(_FILL, (rows // _GENERATED,))
    connection.commit()
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute("vacuum analyze deftunes.songs")
    connection.close()


def change(dsn: str) -> None:
    """Change 1 % of the rows."""
    import psycopg2

    with psycopg2.connect(dsn) as connection, connection.cursor() as cursor:
        cursor.execute("update deftunes.songs set title = title || '!' where hashtext(track_id) %% 100 = 0", ())
    connection.close()


def copy(dsn: str) -> float:
    """Seconds of the raw copy."""
    import psycopg2

    connection = psycopg2.connect(dsn)
    started = time.perf_counter()
    with connection.cursor() as cursor:
        cursor.copy_expert("copy deftunes.songs to stdout (format binary)", Nowhere(), size=1 << 20)
    seconds = time.perf_counter() - started
    connection.close()
    return seconds


def extract(dsn: str, folder: Path, *, full: bool) -> None:
    """In a process of its own: extract, and print what it took."""
    started = time.perf_counter()
    from folder_lake import FolderLake

    from deftunes.adapters.songs_source import SongsSource
    from deftunes.core import layout
    from deftunes.core.entities import Entity
    from deftunes.core.interval import Interval
    from deftunes.extract.songs import land_songs
    from deftunes.state.landings import Landings

    imported = time.perf_counter()
    landings = Landings(FolderLake(folder), Entity.SONGS)
    landed = land_songs(
        SongsSource(dsn),
        landings,
        Interval(date(2026, 1, 1), date(2026, 1, 2)),
        published=None if full else landings.in_use(layout.SNAPSHOT),
        conflicting=0,
        full_after=30,
        max_shrink=0.2,
    )
    ended = time.perf_counter()
    usage = resource.getrusage(resource.RUSAGE_SELF)
    print(
        json.dumps({
            "seconds": ended - imported, "imports": imported - started, "rows": landed.rows, "bytes": landed.bytes,
            "cpu": usage.ru_utime + usage.ru_stime, "peak": usage.ru_maxrss // 1024,
        })
    )  # fmt: skip


def extract_apart(folder: Path, kind: str) -> dict[str, float]:
    """What `extract` printed."""
    command = [sys.executable, __file__, "--extract", str(folder), "--kind", kind]
    done: dict[str, float] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return done


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--extract", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--kind", help=argparse.SUPPRESS)
    options = parser.parse_args()
    dsn = os.environ["SONGS_DSN"]
    if options.extract:
        extract(dsn, options.extract, full=options.kind == "full")
        return
    fill(dsn, options.rows)
    copies, fulls = [], []
    folder = Path(tempfile.mkdtemp())
    for _ in range(options.rounds):
        shutil.rmtree(folder)
        copies.append(copy(dsn))
        fulls.append(extract_apart(folder, "full"))
        print(f"  copy {copies[-1]:.2f} s, full {fulls[-1]}")
    change(dsn)
    changed = extract_apart(folder, "changes")
    shutil.rmtree(folder)
    peer, ours = statistics.median(copies), statistics.median(full["seconds"] for full in fulls)
    peak = max(full["peak"] for full in fulls)
    print(f"{options.rows} rows: copy {peer:.2f} s, extract {ours:.2f} s: {ours / peer:.2f} x, peak {peak} MiB")
    print(f"1 % changed: {changed['rows']} rows in {changed['seconds']:.2f} s, peak {changed['peak']} MiB")


if __name__ == "__main__":
    main()
