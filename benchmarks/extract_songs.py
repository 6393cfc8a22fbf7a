"""Songs: a full extract beside COPY by psql, and what others would use, from one PostgreSQL.

The catalogue is a generated one, copied until it has `--songs` rows. Each tool writes to this machine's disk: S3 is the
same for all. Also the extract of a run that finds 1 % changed; no other tool here tells what changed.
"""

import argparse
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, nullcontext
from pathlib import Path

import duckdb
import psycopg2
from contest import Result, Tool, compete, python, table, written

from song_catalog.generator import generate
from song_catalog.loader import load_songs
from support.cluster import Cluster, embedded_binaries

COLUMNS = (
    "track_id", "title", "song_id", "release", "artist_id", "artist_mbid", "artist_name", "duration",
    "artist_familiarity", "artist_hotttnesss", "year", "track_7digitalid", "shs_perf", "shs_work",
)  # fmt: skip
NUMBERS = frozenset(COLUMNS[7:])
_GENERATED = 10_000
_FILL = """
insert into deftunes.songs
select 'TR' || upper(substr(md5(track_id || copy), 1, 16)), title, song_id, release, artist_id, artist_mbid,
       artist_name, duration, artist_familiarity, artist_hotttnesss, year, track_7digitalid, shs_perf, shs_work
from deftunes.songs, generate_series(2, %s) as copy
"""
_CHANGE = "update deftunes.songs set title = title || '!' where hashtext(track_id) %% 100 = 0"


def add_options(parser: argparse.ArgumentParser) -> None:
    """The size."""
    parser.add_argument("--songs", type=int, default=2_000_000, help="rows of the catalogue")


def run(options: argparse.Namespace) -> Iterator[str]:
    """Fill and measure."""
    with Cluster() as cluster:
        _fill(cluster.dsn(), options.songs)
        tools = [
            Tool("COPY by psql", _copy),
            Tool("deftunes extract songs", python("deftunes_songs.py", "full")),
            Tool("DuckDB, postgres scanner", python("duckdb_songs.py", peer=True)),
            Tool("dlt, pyarrow backend", python("dlt_songs.py", peer=True)),
            Tool("sling", python("sling_songs.py", peer=True)),
        ]
        results = compete(tools, options.rounds, lambda: nullcontext(cluster.dsn()), _checksum)
        yield table(f"songs, {options.songs} rows", results)
        yield table("songs, 1 % changed", [_changes(cluster)])


def _copy(dsn: str, out: Path) -> Sequence[str]:
    query = f"select {', '.join(COLUMNS)} from deftunes.songs"
    return [
        str(embedded_binaries() / "psql"),
        "-Xqd",
        dsn,
        "-c",
        f"\\copy ({query}) to '{out / 'songs.csv'}' (format csv, header)",
    ]


def _changes(cluster: Cluster) -> Result:
    """What a second extract into the same folder takes, after one row in a hundred was changed."""
    with tempfile.TemporaryDirectory() as folder:
        lake = Path(folder)

        def extract(kind: str) -> Result:
            tool = Tool("deftunes extract songs", lambda dsn, _: python("deftunes_songs.py", kind)(dsn, lake))
            (result,) = compete([tool], 1, lambda: nullcontext(cluster.dsn()), lambda _: {})
            return result

        extract("full")
        _execute(cluster.dsn(), _CHANGE)
        return extract("changes")


def _fill(dsn: str, rows: int) -> None:
    with closing(psycopg2.connect(dsn)) as connection:
        load_songs(connection, generate(1, min(rows, _GENERATED)), replace=True)
    _execute(dsn, _FILL, rows // _GENERATED)
    _execute(dsn, "vacuum analyze deftunes.songs")


def _execute(dsn: str, sql: str, *values: object) -> None:
    with closing(psycopg2.connect(dsn)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(sql, values)


def _checksum(out: Path) -> Mapping[str, object]:
    """The number of rows and a sum over each column, whatever the order and the format."""
    sums = ", ".join(f"sum(hash({name}::{'double' if name in NUMBERS else 'varchar'}))" for name in COLUMNS)
    types = {name: "double" if name in NUMBERS else "varchar" for name in COLUMNS}
    text = out / "songs.csv"
    source = (
        f"read_csv('{text}', header=true, quote='\"', escape='\"', allow_quoted_nulls=false, columns={types})"
        if text.exists()
        else f"read_parquet({[str(path) for path in written(out, '*.parquet')]})"
    )
    (found,) = duckdb.sql(f"select count(*), {sums} from {source}").fetchall()
    return dict(zip(("rows", *COLUMNS), found, strict=True))
