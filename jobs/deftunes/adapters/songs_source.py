"""The song catalogue `deftunes.songs` in PostgreSQL, read as Arrow and written as Parquet.

    one repeatable-read transaction: identity, rows, keys  ->  COPY BINARY  ->  record batches  ->  Parquet with zstd

One thread reads while another compresses and writes, with a few batches between them: memory does not grow with the
table. The table has no change column; `xmin`, the transaction that wrote a row, tells what changed since a cursor.
"""

import contextlib
import queue
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from deftunes.adapters.songs_identity import identity_of, keeps_xmin, position_of
from deftunes.adapters.songs_session import TABLE, RefusedByServerError, Session, connect
from deftunes.core.entities.songs import DECLARATION, UNREADABLE
from deftunes.core.errors import DeftunesError
from deftunes.core.progress import begin_count, count

_TEXT = ("text", "varchar", "bpchar", "uuid", "name", "citext")
# Read as they are; what is not here is read as text.
_READ_AS = {
    "float8": "{0}",
    "float4": "{0}::float8",
    "int8": "{0}",
    "int4": "{0}",
    "int2": "{0}",
}
# The digits that PostgreSQL shows, which a float of twice the size would add to.
_REAL_AS_DOUBLE = "{0}::text::float8"
_DOUBLES = frozenset(name for name, silver in DECLARATION.sent_types.items() if silver == "double")
_ANY_NUMBER = (*_READ_AS, "numeric", "text", "varchar")
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
_OLDEST_SERVER = 13
_LOCKABLE = ("r", "p", "v")  # tables, partitioned ones, views
# The hash of a key as PostgreSQL makes it; summed modulo 2^64 it stands for the set of keys, whatever their order.
_KEY_HASH = "hashtextextended(track_id::text, 0)"
_WRAP = 1 << 64
# What the server says of text that it cannot give as UTF-8: character_not_in_repertoire, untranslatable_character.
_NOT_UTF8 = frozenset({"22021", "22P05"})
# What it says where nobody may use a language, or has dropped it: insufficient_privilege, undefined_object.
_NO_LANGUAGE = frozenset({"42501", "42704"})
_PLACES = "deftunes.unreadable"
_PLACE = f"{TABLE}.tableoid::text || {TABLE}.ctid::text"


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
        with connect(self.dsn) as session:
            _check_server(session)
            for statement in (
                "begin isolation level repeatable read read only",
                "set local client_encoding = 'UTF8'",
                # The digits that tell a `real` from its neighbours, and no more.
                "set local extra_float_digits = 1",
                # Read in one order: the digest of a landing is taken over its bytes.
                "set local synchronize_seqscans = off",
                "set local max_parallel_workers_per_gather = 0",
                *_lock(session),
            ):
                session.execute(statement)
            yield SongsSnapshot(session)


class SongsSnapshot:
    """The catalogue as one transaction sees it.

    Attributes:
        at: the database's `now()`.
        received_at: this machine's clock at that moment.
        identity: what a cursor is bound to; it means nothing where one of these is another.
        position: how far the server's log is; before that of a cursor, the cursor means nothing. None: not known.
        cursor: every transaction before it has ended; None where `xmin` does not tell what changed (a view).
        horizon: the first transaction that has not begun.
        ignored: columns that are not landed.
        unreadable: rows, found while writing, with text that is not in `encoding`; they are written with the reason.

    """

    def __init__(self, session: Session) -> None:
        self._session = session
        now = session.row(
            "select to_char(now() at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US') as at, "
            "pg_snapshot_xmin(pg_current_snapshot())::text as cursor, "
            "pg_snapshot_xmax(pg_current_snapshot())::text as horizon"
        )
        self.at = datetime.fromisoformat(now["at"]).replace(tzinfo=UTC)
        self.received_at = datetime.now(UTC)
        self.ignored = self._check_columns()
        self.unreadable, self.encoding = 0, ""
        self.identity = identity_of(session, TABLE, COLUMNS)
        self.position = position_of(session)
        self.cursor = int(now["cursor"]) if keeps_xmin(session, TABLE) else None
        self.horizon = int(now["horizon"])

    def compare(self, since: int) -> Compared:
        """Count the rows, those written at or after the transaction `since`, and hash the keys, in one scan."""
        row = self._session.row(
            f"select count(*) as rows, coalesce(sum({_KEY_HASH}), 0)::text as keys, "
            f"count(*) filter (where {_written(since)}) as changed from {TABLE}"
        )
        return Compared(row["rows"], int(row["keys"]) % _WRAP, row["changed"])

    def write_all(self, path: Path) -> Compared:
        """Write every row to Parquet, in the order of the table; hashes the keys on the way."""
        hashes = 0

        def sql() -> str:
            nonlocal hashes
            hashes = 0  # the answer is asked for again where a row of it stopped the first
            return f"select {self._columns()}, {_KEY_HASH} as key_hash from {self._from}"

        def strip(batch: pa.RecordBatch) -> pa.RecordBatch:
            nonlocal hashes
            hashes += pc.sum(batch.column("key_hash")).as_py() or 0
            return batch.drop_columns(["key_hash"])

        # As the server's statistics have it: good enough to say how long it will take.
        known = self._session.row(f"select reltuples::bigint as rows from pg_class where oid = '{TABLE}'::regclass")
        begin_count("rows", max(known["rows"], 0) or None)
        rows = self._write(sql, path, strip)
        return Compared(rows, hashes % _WRAP, rows)

    def write_changed(self, since: int, path: Path) -> int:
        """Write every row whose key has a row written at or after the transaction `since`; the number of rows.

        No key is declared, so a second row may stand under a changed key: validating that needs both.
        """
        return self._write(
            lambda: (
                f"select {self._columns()} from {self._from} where coalesce(track_id::text, '') in "
                f"(select coalesce(track_id::text, '') from {TABLE} where {_written(since)}) "
                f'order by {TABLE}.track_id::text collate "C", {TABLE}.ctid'
            ),
            path,
        )

    def write_keys(self, path: Path, *, since: int | None = None) -> int:
        """Write every key, one column, or those of rows written at or after `since`; the number of rows."""
        where = "" if since is None else f" where {_written(since)}"
        return self._write(lambda: f"select {self._columns('track_id')} from {self._from}{where}", path)

    def _write(
        self, sql: Callable[[], str], path: Path, change: Callable[[pa.RecordBatch], pa.RecordBatch] | None = None
    ) -> int:
        """Write an answer; again, with the rows apart that stopped it, where text cannot be given as UTF-8."""
        try:
            with self._session.savepoint():
                return self._write_answer(sql(), path, change)
        except RefusedByServerError as refusal:
            if refusal.sqlstate not in _NOT_UTF8 or self.unreadable:
                raise
        self._find_unreadable()
        return self._write_answer(sql(), path, change)

    def _write_answer(self, sql: str, path: Path, change: Callable[[pa.RecordBatch], pa.RecordBatch] | None) -> int:
        rows = 0
        with self._session.batches(sql) as reader, contextlib.ExitStack() as opened:
            schema = pa.schema([field for field in reader.schema if field.name in {*COLUMNS, UNREADABLE}])
            repeating = [name for name in _REPEATING if name in schema.names]
            writer = opened.enter_context(
                pq.ParquetWriter(
                    path,
                    schema,
                    compression="zstd",
                    compression_level=1,
                    use_dictionary=repeating,
                    # A sixth of the writing; whoever reads a landing reads it whole.
                    write_statistics=False,
                )
            )

            def write(batch: pa.RecordBatch) -> None:
                nonlocal rows
                rows += batch.num_rows
                count(batch.num_rows)
                writer.write_batch(change(batch) if change else batch)

            _write_in_background(reader, write)
        return rows

    def _columns(self, *names: str) -> str:
        """What to read as these columns, or all. Of rows that are held apart, texts as ASCII, with the reason."""
        as_they_are = ", ".join(f"{read} as {name}" for name, read in self._reads.items() if name in (names or COLUMNS))
        if not self.unreadable:
            return as_they_are
        apart = ", ".join(
            f"case when held_apart.so then encode(convert_to({read}, getdatabaseencoding()), 'escape') else {read} end "
            f"as {name}"
            if name in self._texts
            else f"{read} as {name}"
            for name, read in self._reads.items()
            if name in (names or COLUMNS)
        )
        reason = f"expected text that can be given as UTF-8, got other bytes (server encoding {self.encoding})"
        return f"{apart}, case when held_apart.so then '{reason}' end as {UNREADABLE}"

    @property
    def _from(self) -> str:
        if not self.unreadable:
            return TABLE
        # `offset 0`: asked once a row, not once a column.
        return (
            f"{TABLE} cross join lateral (select {_PLACE} in (select unnest(string_to_array("
            f"current_setting('{_PLACES}'), ' '))) as so offset 0) as held_apart"
        )

    def _find_unreadable(self) -> None:
        """Find the rows with text that the server cannot convert, by asking it row by row; it keeps their places."""
        texts = ", ".join(self._reads[name] for name in self._texts)
        search = f"""do $$ declare each record; places text[] := '{{}}'; begin
            for each in select {_PLACE} as place, concat_ws(' ', {texts}) as texts from {TABLE} loop
                begin
                    perform convert_to(each.texts, 'UTF8');
                exception when character_not_in_repertoire or untranslatable_character then
                    places := places || each.place;
                end;
            end loop;
            perform set_config('{_PLACES}', array_to_string(places, ' '), true);
            end $$"""
        try:
            self._session.execute(search)
        except RefusedByServerError as refusal:
            if refusal.sqlstate not in _NO_LANGUAGE:
                raise
            raise DeftunesError(
                f"{TABLE}: expected text that can be given as UTF-8, got other bytes in some rows. To hold these apart "
                "the user of DEFTUNES_SONGS_DSN needs PL/pgSQL (`grant usage on language plpgsql`), which is refused: "
                f"{refusal}"
            ) from refusal
        found = self._session.row(
            f"select cardinality(string_to_array(current_setting('{_PLACES}'), ' ')) as rows, "
            "current_setting('server_encoding') as encoding"
        )
        self.unreadable, self.encoding = found["rows"], found["encoding"]

    def _check_columns(self) -> tuple[str, ...]:
        found = {
            row["name"]: row["type"]
            for row in self._session.rows(
                # Of a domain, perhaps over another one, the type that it is made of.
                "with recursive made_of as (select oid, oid as of, typname, typbasetype from pg_type "
                "union all select made_of.oid, base.oid, base.typname, base.typbasetype from made_of "
                "join pg_type base on base.oid = made_of.typbasetype) "
                "select a.attname::text as name, made_of.typname::text as type from pg_attribute a "
                "join made_of on made_of.oid = a.atttypid and made_of.typbasetype = 0 "
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
        self._reads = {name: _read(name, found[name]) for name in COLUMNS}
        self._texts = [name for name in COLUMNS if found[name] not in _READ_AS]
        return tuple(name for name in found if name not in COLUMNS)


def _check_server(session: Session) -> None:
    version = int(session.row("select current_setting('server_version_num') as v")["v"]) // 10000
    if version < _OLDEST_SERVER:
        raise DeftunesError(
            f"DEFTUNES_SONGS_DSN: expected PostgreSQL {_OLDEST_SERVER} or newer, got {version}: "
            "older ones have no 64-bit transaction ids to tell what changed"
        )


def _lock(session: Session) -> list[str]:
    """The statement that keeps the table's definition as it is from before the snapshot to the end of the read.

    Whoever changes a column's type or truncates the table after the snapshot would show it empty to this one.
    """
    kind = session.row(f"select max(relkind::text) as kind from pg_class where oid = to_regclass('{TABLE}')")["kind"]
    if kind is None:
        raise DeftunesError(
            f"expected the table {TABLE} in the database of DEFTUNES_SONGS_DSN, got none of that name. "
            "Nothing was changed; check the setting, and that its user may use the schema"
        )
    return [f"lock table {TABLE} in access share mode"] if kind in _LOCKABLE else []


def _read(column: str, type_: str) -> str:
    form = _REAL_AS_DOUBLE if type_ == "float4" and column in _DOUBLES else _READ_AS.get(type_, "{0}::text")
    return form.format(column)


def _written(since: int) -> str:
    # An xid has no order of its own; age counts back from now. A frozen row keeps its xmin.
    return f"age(xmin) <= age('{since}'::xid8::xid)"


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
