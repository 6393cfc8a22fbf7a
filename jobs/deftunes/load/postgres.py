"""Silver's rows into PostgreSQL, all in the caller's transaction; what an entity replaces is in its module.

Rows are streamed file by file from Iceberg into COPY, as CSV with every value quoted: NULL is the only thing without
quotes, so it is never '' and no character needs more than CSV's own rule.
"""

import io
from collections.abc import Iterable, Iterator

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv
from pyiceberg.expressions import AlwaysTrue, BooleanExpression
from pyiceberg.io.pyarrow import ArrowScan
from pyiceberg.table import FileScanTask, Table

from deftunes.adapters.warehouse import WarehouseConnection
from deftunes.core import layout
from deftunes.core.entities import Entity
from deftunes.core.progress import begin_count, count
from deftunes.load.tables import columns_of, create_statement, index_statements, quoted, table_name
from deftunes.state import bookkeeping
from deftunes.state.bookkeeping import LoadCheckpoint

_CHUNK_ROWS = 16_384
_CSV = csv.WriteOptions(include_header=False, quoting_style="all_valid")
_NUL = "\0"
STAGED = "staged"  # temporary table of rows that replace others by key


def create_tables(connection: WarehouseConnection) -> None:
    """Create the tables that are missing, so that the models can be built on any of them; writes nothing otherwise."""
    with connection.transaction():
        present = {name for (name,) in connection.run(
            "select tablename::text from pg_tables where schemaname = %s", (layout.DATABASE,)
        )}  # fmt: skip
    missing = [entity for entity in Entity if entity.value not in present]
    if not missing:
        return
    with connection.transaction():
        bookkeeping.lock_setup(connection)
        bookkeeping.create_schema(connection, layout.DATABASE)
        for entity in missing:
            connection.run(create_statement(entity))
            # Of a table that somebody dropped, the checkpoint says what is there no more.
            bookkeeping.save_checkpoint(connection, entity, LoadCheckpoint(None, None))


def is_empty(connection: WarehouseConnection, entity: Entity) -> bool:
    """Whether the warehouse holds no row of an entity."""
    return not connection.run(f"select 1 from {table_name(entity)} limit 1")


def fit_table(connection: WarehouseConnection, entity: Entity, table: Table) -> None:
    """Give the table silver's new columns (NULL for the past) and widened types."""
    present: dict[str, str] = dict(
        connection.run(
            "select attname::text, format_type(atttypid, atttypmod) from pg_attribute "
            "where attrelid = to_regclass(%s) and attnum > 0 and not attisdropped",
            (table_name(entity),),
        )
    )
    for column in columns_of(table.schema(), entity):
        if column.name not in present:
            connection.run(f'alter table {table_name(entity)} add column "{column.name}" {column.type}')
        elif present[column.name] != column.type:
            connection.run(f'alter table {table_name(entity)} alter column "{column.name}" type {column.type}')


def replace_everything(connection: WarehouseConnection, entity: Entity, table: Table) -> int:
    """All of main. DELETE, not TRUNCATE: a reader in mid-transaction would see a truncated table empty."""
    connection.run(f"delete from {table_name(entity)}")
    rows = copy_rows(connection, table_name(entity), table, AlwaysTrue(), table.scan().plan_files())
    indexes = {name for (name,) in connection.run(
        "select indexname::text from pg_indexes where schemaname = %s and tablename = %s",
        (layout.DATABASE, entity.value),
    )}  # fmt: skip
    for name, statement in index_statements(entity).items():
        if name not in indexes:
            connection.run(statement)
    # Without figures about rows that no autovacuum has met yet, the models' first plans would read whole tables.
    connection.run(f"analyze {table_name(entity)}")
    bookkeeping.enqueue_changes(connection, entity, [bookkeeping.EVERYTHING])
    return rows


def stage_rows(
    connection: WarehouseConnection,
    entity: Entity,
    table: Table,
    chosen: BooleanExpression,
    tasks: Iterable[FileScanTask],
) -> int:
    """Copy rows into the temporary table `STAGED`, for as long as the transaction lasts; the number of rows."""
    connection.run(f"create temporary table {STAGED} (like {table_name(entity)}) on commit drop")
    rows = copy_rows(connection, STAGED, table, chosen, tasks)
    connection.run(f"analyze {STAGED}")
    return rows


def replace_by_key(connection: WarehouseConnection, entity: Entity, table: Table) -> None:
    """Replace an entity's rows by the staged ones of the same key."""
    names = quoted(table.schema().column_names)
    match = " and ".join(f"{table_name(entity)}.{key} = {STAGED}.{key}" for key in entity.declaration.key)
    connection.run(f"delete from {table_name(entity)} using {STAGED} where {match}")
    connection.run(f"insert into {table_name(entity)} ({names}) select {names} from {STAGED}")


def copy_rows(
    connection: WarehouseConnection,
    target: str,
    table: Table,
    row_filter: BooleanExpression,
    tasks: Iterable[FileScanTask],
) -> int:
    """Copy the rows of these files that match into a table; the number of rows."""
    scan = ArrowScan(table.metadata, table.io, table.schema(), row_filter)
    tasks = list(tasks)
    begin_count("rows", sum(task.file.record_count for task in tasks))
    # One file at a time: PyIceberg's own reader starts on all of them and holds what it has read.
    stream = _CsvStream(batch for task in tasks for batch in scan.to_record_batches([task]))
    connection.copy(f"copy {target} ({quoted(table.schema().column_names)}) from stdin (format csv, null '')", stream)
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
            count(chunk.num_rows)
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


def literals(values: Iterable[str]) -> str:
    """Texts as a list in an expression of Iceberg's, in one order."""
    return ", ".join(f"'{value}'" for value in sorted(values))
