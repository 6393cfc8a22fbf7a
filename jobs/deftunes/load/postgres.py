"""Bring a silver table's changes into PostgreSQL, all in the caller's transaction.

    sessions    the replaced days go, main's rows of these days come
    songs       the batches' rows replace theirs by track_id
    users       the versions of the landings' instants go, the batches' rows come
    everything  all rows go, main's rows come

Rows are streamed file by file from Iceberg into COPY, as CSV with every value quoted: NULL is the only thing without
quotes, so it is never '' and no character needs more than CSV's own rule.
"""

import io
from collections.abc import Iterable, Iterator

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv
from pyiceberg.expressions import AlwaysTrue, BooleanExpression
from pyiceberg.expressions.parser import parse
from pyiceberg.io.pyarrow import ArrowScan
from pyiceberg.table import FileScanTask, Table

from deftunes.adapters.warehouse import Session
from deftunes.core import layout
from deftunes.core.entities import Entity
from deftunes.core.interval import midnight, runs_of
from deftunes.load.changes import Changes, new_files
from deftunes.load.tables import KEYS, columns_of, create_statement, index_statements, quoted, table_name
from deftunes.state import bookkeeping

_CHUNK_ROWS = 16_384
_CSV = csv.WriteOptions(include_header=False, quoting_style="all_valid")
_NUL = "\0"
_ARRIVING = "arriving"  # temporary table of rows that replace others by key


def make_tables(session: Session) -> None:
    """Make the tables that are missing, so that the models can be built on any of them; writes nothing otherwise."""
    with session.transaction():
        present = {name for (name,) in session.run(
            "select tablename::text from pg_tables where schemaname = %s", (layout.DATABASE,)
        )}  # fmt: skip
    missing = [entity for entity in Entity if entity.value not in present]
    if not missing:
        return
    with session.transaction():
        bookkeeping.serialize(session)
        session.run(f"create schema if not exists {layout.DATABASE}")
        for entity in missing:
            session.run(create_statement(entity))


def fit_table(session: Session, entity: Entity, table: Table) -> None:
    """Give the table silver's new columns (NULL for the past) and widened types."""
    present: dict[str, str] = dict(
        session.run(
            "select attname::text, format_type(atttypid, atttypmod) from pg_attribute "
            "where attrelid = to_regclass(%s) and attnum > 0 and not attisdropped",
            (table_name(entity),),
        )
    )
    for column in columns_of(table.schema(), entity):
        if column.name not in present:
            session.run(f'alter table {table_name(entity)} add column "{column.name}" {column.type}')
        elif present[column.name] != column.type:
            session.run(f'alter table {table_name(entity)} alter column "{column.name}" type {column.type}')


def replace_everything(session: Session, entity: Entity, table: Table) -> int:
    """All of main. DELETE, not TRUNCATE: a reader in mid-transaction would see a truncated table empty."""
    session.run(f"delete from {table_name(entity)}")
    rows = _copy(session, table_name(entity), table, AlwaysTrue(), table.scan().plan_files())
    indexes = {name for (name,) in session.run(
        "select indexname::text from pg_indexes where schemaname = %s and tablename = %s",
        (layout.DATABASE, entity.value),
    )}  # fmt: skip
    for name, statement in index_statements(entity).items():
        if name not in indexes:
            session.run(statement)
    # Without figures about rows that no autovacuum has met yet, the models' first plans would read whole tables.
    session.run(f"analyze {table_name(entity)}")
    bookkeeping.note(session, entity, [bookkeeping.EVERYTHING])
    return rows


def replace_days(session: Session, table: Table, changes: Changes) -> int:
    """The sessions of the replaced days."""
    days = sorted(changes.days)
    if not days:
        return 0
    name = table_name(Entity.SESSIONS)
    filters = []
    for run in runs_of(days):
        bounds = midnight(run.start), midnight(run.end)
        session.run(f"delete from {name} where session_start_time >= %s and session_start_time < %s", bounds)
        filters.append(
            f"(session_start_time >= '{bounds[0].isoformat()}' and session_start_time < '{bounds[1].isoformat()}')"
        )
    chosen = parse(" or ".join(filters))
    tasks = table.scan(row_filter=chosen).plan_files()
    rows = _copy(session, name, table, chosen, tasks)
    bookkeeping.note(session, Entity.SESSIONS, [day.isoformat() for day in days])
    return rows


def replace_songs(session: Session, table: Table, changes: Changes) -> int:
    """The rows that the batches wrote, by track."""
    rows = _arrive(session, Entity.SONGS, table, changes)
    session.run(f"insert into {bookkeeping.CHANGED} (entity, unit) select '{Entity.SONGS}', track_id from {_ARRIVING}")
    _replace_by_key(session, Entity.SONGS, table)
    return rows


def replace_users(session: Session, table: Table, changes: Changes) -> int:
    """The versions of the landings' instants: a landing read again at the same instant may hold fewer of them."""
    rows = _arrive(session, Entity.USERS, table, changes)
    session.run(
        f"with gone as (delete from {table_name(Entity.USERS)} where effective_from in %s "
        "returning user_id, effective_from), touched as (select user_id, effective_from from gone "
        f"union all select user_id, effective_from from {_ARRIVING}) "
        f"insert into {bookkeeping.CHANGED} (entity, unit, since) "
        f"select '{Entity.USERS}', user_id, min(effective_from) from touched group by user_id",
        (tuple(changes.instants),),
    )
    _replace_by_key(session, Entity.USERS, table)
    return rows


def _arrive(session: Session, entity: Entity, table: Table, changes: Changes) -> int:
    session.run(f"create temporary table {_ARRIVING} (like {table_name(entity)}) on commit drop")
    chosen = f"batch_id in ({_literals(changes.batches)})"
    if entity is Entity.USERS:
        # Rows of an instant may have been rewritten by no batch of these, so every file is asked for them.
        chosen += f" or effective_from in ({_literals(instant.isoformat() for instant in changes.instants)})"
        rows = _copy(session, _ARRIVING, table, parse(chosen), table.scan(row_filter=chosen).plan_files())
    else:
        rows = _copy(session, _ARRIVING, table, parse(chosen), new_files(table, changes))
    session.run(f"analyze {_ARRIVING}")
    return rows


def _replace_by_key(session: Session, entity: Entity, table: Table) -> None:
    names = quoted(table.schema().column_names)
    match = " and ".join(f"{table_name(entity)}.{key} = {_ARRIVING}.{key}" for key in KEYS[entity])
    session.run(f"delete from {table_name(entity)} using {_ARRIVING} where {match}")
    session.run(f"insert into {table_name(entity)} ({names}) select {names} from {_ARRIVING}")


def _copy(
    session: Session, target: str, table: Table, row_filter: BooleanExpression, tasks: Iterable[FileScanTask]
) -> int:
    scan = ArrowScan(table.metadata, table.io, table.schema(), row_filter)
    # One file at a time: PyIceberg's own reader starts on all of them and holds what it has read.
    stream = _CsvStream(batch for task in tasks for batch in scan.to_record_batches([task]))
    session.copy(f"copy {target} ({quoted(table.schema().column_names)}) from stdin (format csv, null '')", stream)
    return stream.rows


class _CsvStream(io.RawIOBase):
    """Record batches as CSV, made as they are read."""

    def __init__(self, batches: Iterator[pa.RecordBatch]) -> None:
        self._pieces = _pieces(batches)
        self._piece = memoryview(b"")
        self.rows = 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        while not self._piece:
            chunk = next(self._pieces, None)
            if chunk is None:
                return b""
            self.rows += chunk.num_rows
            sink = pa.BufferOutputStream()
            csv.write_csv(chunk, sink, _CSV)
            self._piece = memoryview(sink.getvalue())
        taken = self._piece[:size] if size >= 0 else self._piece
        self._piece = self._piece[len(taken) :]
        return bytes(taken)


def _pieces(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        for begin in range(0, batch.num_rows, _CHUNK_ROWS):
            yield _without_nul(batch.slice(begin, _CHUNK_ROWS))


def _without_nul(batch: pa.RecordBatch) -> pa.RecordBatch:
    """PostgreSQL stores no NUL character; U+FFFD, the replacement character, stands for it there."""
    for number, column in enumerate(batch.columns):
        if (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)) and pc.any(
            pc.match_substring(column, _NUL)
        ).as_py():
            clean = pc.replace_substring(column, _NUL, "\ufffd")
            batch = batch.set_column(number, batch.schema.field(number), clean)
    return batch


def _literals(values: Iterable[str]) -> str:
    return ", ".join(f"'{value}'" for value in sorted(values))
