"""The song catalogue `deftunes.songs` in PostgreSQL, read as Arrow through ADBC and written as Parquet.

    one repeatable-read transaction: state, rows, keys  ->  COPY BINARY  ->  record batches  ->  Parquet with zstd

One thread reads while another compresses and writes, with a few batches between them: memory does not grow with the
table. The table has no change column; `xmin`, the transaction that wrote a row, tells what changed since a cursor.

ADBC is used below its DB-API layer, which would import pandas or polars where they are installed.
"""

import contextlib
import os
import queue
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import adbc_driver_manager
import adbc_driver_postgresql
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from deftunes.core.errors import DeftunesError, RetriableError

TABLE = "deftunes.songs"
_TEXT = ("text", "varchar", "bpchar", "uuid", "name", "citext")
# Read as they are; what Parquet cannot hold exactly is read as text.
_NUMBERS = ("float8", "float4", "int8", "int4", "int2")
_NUMBERS_AS_TEXT = ("numeric", "text", "varchar")
_ANY_NUMBER = (*_NUMBERS, *_NUMBERS_AS_TEXT)
COLUMNS = {
    "track_id": _TEXT,
    "title": _TEXT,
    "song_id": _TEXT,
    "release": _TEXT,
    "artist_id": _TEXT,
    "artist_mbid": _TEXT,
    "artist_name": _TEXT,
    "duration": _ANY_NUMBER,
    "artist_familiarity": _ANY_NUMBER,
    "artist_hotttnesss": _ANY_NUMBER,
    "year": _ANY_NUMBER,
    "track_7digitalid": _ANY_NUMBER,
    "shs_perf": _ANY_NUMBER,
    "shs_work": _ANY_NUMBER,
}
# Columns whose values repeat; a dictionary of the others is built for nothing.
_REPEATING = ["release", "artist_id", "artist_mbid", "artist_name", "year", "shs_perf", "shs_work"]
_BATCHES_AHEAD = 2
# SQLSTATE classes of transient errors: connection, transaction, resources, locks, the operator, the system.
_TRANSIENT = ("08", "40", "53", "55", "57", "58")
# What libpq says without a SQLSTATE when trying again is of no use.
_REFUSALS = (
    "authentication failed",
    "no pg_hba.conf entry",
    "no password supplied",
    "does not exist",
    "in connection info string",
    "invalid integer value",
    "invalid connection option",
    "invalid URI",
)
_OLDEST_SERVER = 13
# The hash of a key as PostgreSQL makes it; summed modulo 2^64 it stands for the set of keys, whatever their order.
_KEY_HASH = "hashtextextended(track_id::text, 0)"
_WRAP = 1 << 64


@dataclass(frozen=True, slots=True)
class Compared:
    """The whole table against a cursor: its rows, the sum of its keys' hashes, the rows written since."""

    rows: int
    keys: int
    changed: int


@dataclass(frozen=True, slots=True)
class SongsSource:
    """Where the catalogue is: a libpq string, handed to the driver as it is."""

    dsn: str = field(repr=False)

    @contextlib.contextmanager
    def snapshot(self) -> Iterator["SongsSnapshot"]:
        """One consistent state of the catalogue, for as long as the context is open.

        Raises:
            RetriableError: PostgreSQL is away or ended the connection.
            DeftunesError: there is no such table, or not with these columns, or it may not be read.

        """
        with contextlib.ExitStack() as opened:
            with _translate_errors():
                database = opened.enter_context(adbc_driver_postgresql.connect(self.dsn))
                connection = opened.enter_context(adbc_driver_manager.AdbcConnection(database))
                for statement in (
                    "begin isolation level repeatable read read only",
                    "set local client_encoding = 'UTF8'",
                    # Read in one order: the digest of a landing is taken over its bytes.
                    "set local synchronize_seqscans = off",
                    "set local max_parallel_workers_per_gather = 0",
                ):
                    _execute(connection, statement)
                snapshot = SongsSnapshot(connection)
            yield snapshot


class SongsSnapshot:
    """The catalogue as one transaction sees it.

    Attributes:
        at: the database's `now()`.
        server: the cluster, its timeline and database; `table`: the table's oid. A cursor means nothing elsewhere.
        cursor: every transaction before it has ended; None where the relation keeps no `xmin` (a view).
        horizon: the first transaction that has not begun.
        ignored: columns that are not landed.

    """

    def __init__(self, connection: adbc_driver_manager.AdbcConnection) -> None:
        self._connection = connection
        version = int(self._row("select current_setting('server_version_num') as v")["v"]) // 10000
        if version < _OLDEST_SERVER:
            raise DeftunesError(
                f"DEFTUNES_SONGS_DSN: expected PostgreSQL {_OLDEST_SERVER} or newer, got {version}: "
                "older ones have no 64-bit transaction ids to tell what changed"
            )
        now = self._row(
            "select to_char(now() at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US') as at, "
            "pg_snapshot_xmin(pg_current_snapshot())::text as cursor, "
            "pg_snapshot_xmax(pg_current_snapshot())::text as horizon"
        )
        relation = self._row(
            f"select max(oid::text) as oid, max(relkind::text) as kind from pg_class where oid = to_regclass('{TABLE}')"
        )
        if relation["oid"] is None:
            raise DeftunesError(
                f"expected the table {TABLE} in the database of DEFTUNES_SONGS_DSN, got none of that name. "
                "Nothing was changed; check the setting, and that its user may use the schema"
            )
        self.at = datetime.fromisoformat(now["at"]).replace(tzinfo=UTC)
        self.server = self._server()
        self.table: str = relation["oid"]
        self.cursor = int(now["cursor"]) if relation["kind"] == "r" else None
        self.horizon = int(now["horizon"])
        self.ignored, self._columns = self._check_columns()

    def compare(self, since: int) -> Compared:
        """Count the rows, those written at or after the transaction `since`, and hash the keys, in one scan."""
        row = self._row(
            f"select count(*) as rows, coalesce(sum({_KEY_HASH}), 0)::text as keys, "
            f"count(*) filter (where {_written(since)}) as changed from {TABLE}"
        )
        return Compared(row["rows"], int(row["keys"]) % _WRAP, row["changed"])

    def write_all(self, path: Path) -> Compared:
        """Write every row to Parquet, in the order of the table; hashes the keys on the way."""
        hashes = 0

        def strip(batch: pa.RecordBatch) -> pa.RecordBatch:
            nonlocal hashes
            hashes += pc.sum(batch.column(len(COLUMNS))).as_py() or 0
            return batch.select(list(COLUMNS))

        rows = self._write(f"select {self._columns}, {_KEY_HASH} as key_hash from {TABLE}", path, strip)
        return Compared(rows, hashes % _WRAP, rows)

    def write_changed(self, since: int, path: Path) -> int:
        """Write every row whose key has a row written at or after the transaction `since`; the number of rows.

        No key is declared, so a second row may stand under a changed key: validating that needs both.
        """
        return self._write(
            f"select {self._columns} from {TABLE} where coalesce(track_id::text, '') in "
            f"(select coalesce(track_id::text, '') from {TABLE} where {_written(since)}) "
            f'order by {TABLE}.track_id::text collate "C", {TABLE}.ctid',
            path,
        )

    def write_keys(self, path: Path) -> int:
        """Write every key, one column; the number of rows."""
        return self._write(f"select track_id::text as track_id from {TABLE}", path)

    def _write(self, sql: str, path: Path, change: Callable[[pa.RecordBatch], pa.RecordBatch] | None = None) -> int:
        rows = 0
        with _translate_errors(), _query(self._connection, sql) as reader, contextlib.ExitStack() as opened:
            schema = pa.schema([field for field in reader.schema if field.name in COLUMNS])
            repeating = [name for name in _REPEATING if name in schema.names]
            writer = opened.enter_context(
                pq.ParquetWriter(path, schema, compression="zstd", compression_level=1, use_dictionary=repeating)
            )

            def write(batch: pa.RecordBatch) -> None:
                nonlocal rows
                rows += batch.num_rows
                writer.write_batch(change(batch) if change else batch)

            _write_in_background(reader, write)
        return rows

    def _server(self) -> str:
        """What a cursor is bound to. After a failover (another timeline) transaction ids may mean other rows."""
        parts = [self._row("select oid::text as oid from pg_database where datname = current_database()")["oid"]]
        may = self._row(
            "select has_function_privilege('pg_control_system()', 'execute') "
            "and has_function_privilege('pg_control_checkpoint()', 'execute') as may"
        )
        if may["may"]:
            control = self._row(
                "select system_identifier::text as id, timeline_id::text as timeline "
                "from pg_control_system(), pg_control_checkpoint()"
            )
            parts += [control["timeline"], control["id"]]
        return "/".join(reversed(parts))

    def _check_columns(self) -> tuple[tuple[str, ...], str]:
        found = {
            row["name"]: row["type"]
            for row in self._rows(
                "select a.attname::text as name, coalesce(b.typname, t.typname)::text as type from pg_attribute a "
                "join pg_type t on t.oid = a.atttypid left join pg_type b on b.oid = nullif(t.typbasetype, 0) "
                f"where a.attrelid = '{TABLE}'::regclass and a.attnum > 0 and not a.attisdropped order by a.attnum"
            )
        }
        wrong = [
            f"{name} {found.get(name, 'missing')} (expected one of {', '.join(types)})"
            for name, types in COLUMNS.items()
            if found.get(name) not in types
        ]
        if wrong:
            raise DeftunesError(
                f"{TABLE}: expected its {len(COLUMNS)} columns, got {'; '.join(wrong)}. Nothing was changed"
            )
        columns = ", ".join(f"{name}::text as {name}" if found[name] not in _NUMBERS else name for name in COLUMNS)
        return tuple(name for name in found if name not in COLUMNS), columns

    def _row(self, sql: str) -> dict[str, Any]:
        (row,) = self._rows(sql)
        return row

    def _rows(self, sql: str) -> list[dict[str, Any]]:
        with _translate_errors(), _query(self._connection, sql) as reader:
            rows: list[dict[str, Any]] = reader.read_all().to_pylist()
        return rows


def _written(since: int) -> str:
    # An xid has no order of its own; age counts back from now. A frozen row keeps its xmin.
    return f"age(xmin) <= age('{since}'::xid8::xid)"


def _execute(connection: adbc_driver_manager.AdbcConnection, sql: str) -> None:
    with adbc_driver_manager.AdbcStatement(connection) as statement:
        statement.set_sql_query(sql)
        statement.execute_update()


@contextlib.contextmanager
def _query(connection: adbc_driver_manager.AdbcConnection, sql: str) -> Iterator[pa.RecordBatchReader]:
    with adbc_driver_manager.AdbcStatement(connection) as statement:
        statement.set_sql_query(sql)
        handle, _ = statement.execute_query()
        with pa.RecordBatchReader._import_from_c(handle.address) as reader:
            yield reader


def _write_in_background(reader: pa.RecordBatchReader, write: Callable[[pa.RecordBatch], None]) -> None:
    """Read here, write in another thread: both leave the interpreter while they work."""
    batches: queue.Queue[pa.RecordBatch | None] = queue.Queue(_BATCHES_AHEAD)

    def drain() -> None:
        waiting = iter(batches.get, None)
        try:
            for batch in waiting:
                write(batch)
        finally:
            # After a failed write, so that the reader is not left waiting for a place in the queue.
            for _ in waiting:
                pass

    with ThreadPoolExecutor(1, thread_name_prefix="parquet") as pool:
        job = pool.submit(drain)
        try:
            for batch in reader:
                if job.done():
                    break
                batches.put(batch)
        finally:
            batches.put(None)
        job.result()


@contextlib.contextmanager
def _translate_errors() -> Iterator[None]:
    """Turn the driver's errors into ours. Its messages may hold a piece of the DSN: only known parts are shown."""
    try:
        yield
    except (adbc_driver_manager.Error, pa.ArrowException, OSError) as error:
        raise _translate_error(error) from error


def _translate_error(error: Exception) -> DeftunesError | RetriableError:
    state = getattr(error, "sqlstate", None)
    text = str(error)
    if isinstance(error, OSError) and error.errno is not None:
        return DeftunesError(f"{TABLE}: expected room for a Parquet file, got {os.strerror(error.errno)}")
    if state is not None and not state.startswith(_TRANSIENT):
        detail = text.partition("ERROR:")[2].partition("\n")[0].strip()
        return DeftunesError(
            f"{TABLE}: expected PostgreSQL to read it, got {detail or 'a refusal'} (SQLSTATE {state}). "
            "Nothing was changed; check the rights of DEFTUNES_SONGS_DSN's user"
        )
    refusal = next((words for words in _REFUSALS if words in text), None)
    if refusal:
        return DeftunesError(
            f"expected PostgreSQL to let us in, got: {refusal}. Nothing was changed; check DEFTUNES_SONGS_DSN"
        )
    return RetriableError(
        "expected PostgreSQL to answer at DEFTUNES_SONGS_DSN, got no connection, or one that was lost. "
        "Nothing was changed; run the command again"
    )
