"""The engine in this process: DuckDB over Arrow, branches written by PyIceberg. No JVM.

Memory has a limit, and what does not fit goes to the disk; a branch is one commit.
"""

import gzip
import shutil
import tempfile
import uuid
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.exceptions import CommitFailedException, ValidationException
from pyiceberg.expressions import (
    AlwaysFalse,
    AlwaysTrue,
    And,
    BooleanExpression,
    EqualTo,
    GreaterThanOrEqual,
    In,
    LessThan,
    Not,
    Or,
)
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.table.update.snapshot import ManageSnapshots

from deftunes.adapters.arrow_types import arrow_schema
from deftunes.adapters.catalog import BATCH_PROPERTY, WRITER_PROPERTY, Refs, silver_table
from deftunes.core import dqdl
from deftunes.core.engine import Between, BranchWrite, Objects, OneOf
from deftunes.core.errors import DeftunesError, RetriableError
from deftunes.core.failpoints import Failpoint, crash_point
from deftunes.core.progress import begin_count, count

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog
    from pyiceberg.table import Table, Transaction

    from deftunes.adapters.lake import Lake
    from deftunes.core.rules import RuleOutcome, Ruleset
    from deftunes.core.settings import Settings

_LINES_A_BATCH = 1_000
_ROWS_A_READ = 1_000
_ROWS_A_WRITE = 500_000
_RETRIES = "commit.retry.num-retries"


@contextmanager
def open_duckdb(settings: "Settings", lake: "Lake", catalog: "Catalog") -> "Iterator[DuckDbEngine]":
    """An engine whose temporary files are gone with it.

    Raises:
        DeftunesError: memory or disk did not suffice.
    """
    with tempfile.TemporaryDirectory(prefix="deftunes-engine-") as folder:
        connection = duckdb.connect(
            config={
                "memory_limit": settings.engine_memory,
                "temp_directory": str(Path(folder) / "spilled"),
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
                "preserve_insertion_order": False,
                "python_enable_replacements": False,
            }
        )
        connection.execute("set TimeZone = 'UTC'")
        try:
            yield DuckDbEngine(connection, lake, catalog, Path(folder))
        except duckdb.OutOfMemoryException as error:
            raise DeftunesError(
                f"the embedded engine needs more than DEFTUNES_ENGINE_MEMORY ({settings.engine_memory}) or the disk "
                f"has room for in {tempfile.gettempdir()}. Nothing was published; give it more, take shorter "
                "intervals (deftunes backfill does), or set DEFTUNES_ENGINE=spark"
            ) from error
        finally:
            connection.close()


class DuckDbEngine:
    """Tables of a database in memory; each query has a cursor of its own, so that two can be read at once."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, lake: "Lake", catalog: "Catalog", folder: Path) -> None:
        self._connection = connection
        self._lake = lake
        self._catalog = catalog
        self._folder = folder

    def expect_rules(self, rules: "Ruleset") -> None:
        """See `Engine`."""
        dqdl.expect_compiled(rules)

    def land(self, name: str, columns: Mapping[str, str], objects: Sequence[Objects]) -> None:
        """See `Engine`."""
        schema = arrow_schema(columns)
        self._create(name, schema)
        for each in objects:
            read = self._lines if each.lines else self._parquet
            for key in each.keys:
                for batch in each.convert(read(key)):
                    self._insert(name, batch.select(schema.names))

    def _lines(self, key: str) -> Iterator[pa.RecordBatch]:
        with self._lake.open(key) as body, gzip.open(cast("BinaryIO", body)) as lines:
            chunk: list[str] = []
            for line in lines:
                chunk.append(line.removesuffix(b"\n").decode())
                if len(chunk) == _LINES_A_BATCH:
                    count(len(chunk))
                    yield _line_batch(chunk, key)
                    chunk = []
            if chunk:
                count(len(chunk))
                yield _line_batch(chunk, key)

    def _parquet(self, key: str) -> Iterator[pa.RecordBatch]:
        # A part may be larger than memory, and Parquet is read from its end.
        with tempfile.NamedTemporaryFile(dir=self._folder) as copy:
            with self._lake.open(key) as body:
                shutil.copyfileobj(body, copy)
            copy.flush()
            for batch in pq.ParquetFile(copy.name).iter_batches():
                count(batch.num_rows)
                yield batch

    def silver(
        self,
        name: str,
        table: str,
        snapshot: int | None,
        *,
        columns: Sequence[str] | None = None,
        outside: Between | None = None,
        batch_id: str | None = None,
    ) -> None:
        """See `Engine`."""
        iceberg = self._table(table)
        full = schema_to_pyarrow(iceberg.schema(), include_field_ids=False)
        wanted = list(columns or full.names)
        self._create(name, pa.schema([full.field(column) for column in wanted]))
        if snapshot is None:
            return
        conditions: BooleanExpression = AlwaysTrue()
        if outside is not None:
            conditions = And(conditions, Not(_condition(outside)))
        if batch_id is not None:
            conditions = And(conditions, EqualTo(term="batch_id", value=batch_id))
        scan = iceberg.scan(row_filter=conditions, snapshot_id=snapshot)
        # A snapshot is read with the columns it was written with.
        known = {field.name for field in scan.projection().fields}
        scan = scan.select(*(column for column in wanted if column in known))
        for batch in scan.to_arrow_batch_reader():
            self._insert(name, batch)

    def values(self, name: str, column: str, values: Sequence[str]) -> None:
        """See `Engine`."""
        table = pa.table({column: pa.array(values, pa.string())})
        self._create(name, table.schema)
        self._insert(name, table)

    def define(self, name: str, query: str) -> None:
        """See `Engine`."""
        self._connection.execute(f"create or replace view {name} as {query}")

    def keep(self, name: str, query: str) -> None:
        """See `Engine`."""
        self._connection.execute(f"create or replace table {name} as {query}")

    def row(self, query: str) -> Mapping[str, Any]:
        """See `Engine`."""
        (row,) = self.rows(query)
        return row

    def rows(self, query: str) -> Iterator[Mapping[str, Any]]:
        """See `Engine`."""
        for batch in self._reader(query, _ROWS_A_READ):
            yield from batch.to_pylist()

    def broken(self, name: str, rules: "Ruleset") -> str:  # noqa: ARG002 - Spark's needs the name
        """See `Engine`."""
        return dqdl.broken(rules)

    def audit(self, name: str, rules: "Ruleset") -> "list[RuleOutcome]":
        """See `Engine`."""
        return dqdl.outcomes(rules, self.row(dqdl.audit_query(rules, name)))

    def write(self, write: BranchWrite) -> None:
        """See `Engine`. One commit, each snapshot of which carries the batch's id and this writer's."""
        properties = {BATCH_PROPERTY: write.batch_id, WRITER_PROPERTY: f"embedded-{uuid.uuid4().hex}"}
        try:
            with warnings.catch_warnings():
                # That it copies on write, and that a branch had nothing to delete: both are meant.
                warnings.filterwarnings("ignore", message="Merge on read|Delete operation did not match")
                self._commit(write, properties)
        except (CommitFailedException, ValidationException, ValueError) as error:
            now = Refs(silver_table(self._catalog, write.table))
            if isinstance(error, ValueError) and now.main == write.base and now.head(write.branch) is None:
                raise
            raise RetriableError(f"another run changed {write.table} meanwhile; nothing was published") from error

    def _commit(self, write: BranchWrite, properties: dict[str, str]) -> None:
        table = self._table(write.table)
        chunks = self._chunks(write.rows, schema_to_pyarrow(table.schema(), include_field_ids=False))
        begin = write.base
        if begin is None:  # an empty table can have no branch: its first snapshot is on none
            with _transaction(table) as transaction:
                transaction.append(next(chunks), snapshot_properties=properties, branch=None)
            begin = next(
                snapshot.snapshot_id
                for snapshot in table.snapshots()
                if snapshot.summary and snapshot.summary.additional_properties.items() >= properties.items()
            )
            crash_point(Failpoint.TRANSFORM_AFTER_BRANCH)
        with _transaction(table) as transaction:
            # First, since of one kind the first demand alone counts: that this branch is not there yet.
            ManageSnapshots(transaction).create_branch(begin, write.branch)._commit_if_ref_updates_exist()
            replaced = self._replaced(write)
            if replaced is not None:
                transaction.delete(replaced, snapshot_properties=properties, branch=write.branch)
            for rows in chunks:
                transaction.append(rows, snapshot_properties=properties, branch=write.branch)

    def _replaced(self, write: BranchWrite) -> BooleanExpression | None:
        match write.replaced if write.base is not None else None:
            case None:
                return None
            case Between() as between:
                return _condition(between)
            case OneOf(column, values):
                return In(term=column, literals={value.isoformat() for value in values})
            case replaced:
                keys = [
                    row[replaced.column] for row in self.rows(f"select {replaced.column} from ({write.rows}) as rows_")
                ]
                return In(term=replaced.column, literals=set(keys)) if keys else None

    def _chunks(self, query: str, schema: pa.Schema) -> Iterator[pa.Table]:
        """At least one, which may be empty: a batch without rows is a batch."""
        batches: list[pa.RecordBatch] = []
        rows = written = 0
        begin_count("rows written")
        for batch in self._reader(query, _ROWS_A_WRITE // 10):
            batches.append(batch)
            rows += batch.num_rows
            count(batch.num_rows)
            if rows >= _ROWS_A_WRITE:
                yield _fitted(batches, schema)
                batches, rows, written = [], 0, written + 1
        if batches or not written:
            yield _fitted(batches, schema) if batches else schema.empty_table()

    def _table(self, name: str) -> "Table":
        table = silver_table(self._catalog, name)
        assert table is not None
        return table

    def _create(self, name: str, schema: pa.Schema) -> None:
        cursor = self._connection.cursor()
        cursor.register("empty", schema.empty_table())
        cursor.execute(f"create or replace table {name} as select * from empty")

    def _insert(self, name: str, rows: pa.RecordBatch | pa.Table) -> None:
        if rows.num_rows:
            cursor = self._connection.cursor()
            cursor.register("arriving", rows if isinstance(rows, pa.Table) else pa.Table.from_batches([rows]))
            cursor.execute(f"insert into {name} by name select * from arriving")

    def _reader(self, query: str, rows: int) -> pa.RecordBatchReader:
        return self._connection.cursor().sql(query).to_arrow_reader(rows)


def _fitted(batches: list[pa.RecordBatch], schema: pa.Schema) -> pa.Table:
    return pa.Table.from_batches(batches).select(schema.names).cast(schema)


def _line_batch(lines: list[str], key: str) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict({"value": lines, "path": [key] * len(lines)})


@contextmanager
def _transaction(table: "Table") -> "Iterator[Transaction]":
    """A transaction that is committed once: Iceberg's own second try would not demand again what the first demanded."""
    table.metadata.properties[_RETRIES] = "0"
    transaction = table.transaction()
    yield transaction
    transaction.commit_transaction()


def _condition(between: Between) -> BooleanExpression:
    condition: BooleanExpression = AlwaysFalse()
    for start, end in between.ranges:
        inside = And(
            GreaterThanOrEqual(term=between.column, value=start.isoformat()),
            LessThan(term=between.column, value=end.isoformat()),
        )
        condition = Or(condition, inside)
    return condition
