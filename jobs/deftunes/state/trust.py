"""What the warehouse tells readers of its data's trust: which records are held back, and how runs ended.

    quarantine   ->  deftunes_control.held_back   one row per data file, entity and reason
    runs/        ->  deftunes_control.runs        one row per stage run of the last days

A data file never changes and a run record is written once, so only those are read that the warehouse lacks. What it
holds follows from the lake alone: brought again, by two processes at once, or after a kill, it is the same.
"""

import hashlib
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from typing import TYPE_CHECKING

from pyiceberg.expressions import AlwaysTrue
from pyiceberg.io.pyarrow import ArrowScan

from deftunes.adapters.catalog import Refs, silver_table
from deftunes.adapters.warehouse import Dialect, Row
from deftunes.core import layout
from deftunes.core.failpoints import Failpoint, crash_point
from deftunes.state import bookkeeping
from deftunes.state.bookkeeping import HELD_BACK, RUNS, LoadCheckpoint

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog
    from pyiceberg.table import FileScanTask, Table

    from deftunes.adapters.lake import JsonObject, Lake
    from deftunes.adapters.warehouse import Warehouse, WarehouseConnection

# Runs that began before that are not looked for, and are kept only as the newest of their kind.
RUN_DAYS = 7
_RUN_COLUMNS = ("run", "stage", "entity", "exit_code", "started_at", "ended_at", "outcome", "run_id")
_THREADS = 8
# Beside the one that `bookkeeping` sets up under.
_LOCK = "select pg_advisory_xact_lock(hashtext('deftunes_control'), 1)"
_WORDS = {0: "done", 1: "failed", 2: "bad usage", 3: "refused", 75: "transient"}
# A reason ends with what came instead, which may be a number from the record.
_WHAT_CAME = re.compile(r", got .*", re.DOTALL)
_REASON_LENGTH = 255  # Redshift takes `text` for varchar(256)


def bring_trust(lake: "Lake", catalog: "Catalog", warehouse: "Warehouse", today: date) -> None:
    """Bring what the warehouse lacks; writes nothing where it lacks nothing.

    Raises:
        DeftunesError: one of the two cannot be brought; the other one is.
    """
    with warehouse.hold(exclusive=False) as connection:
        bookkeeping.create_tables(connection)
        try:
            _bring_runs(connection, lake, today)
        finally:
            _bring_held_back(connection, catalog)


def recent_runs(lake: "Lake", today: date) -> list[str]:
    """The keys of the run records of the last days, oldest first."""
    since = today - timedelta(days=RUN_DAYS)
    return sorted(lake.keys(layout.RUNS_PREFIX, after=layout.runs_of_day(since)))


def ending(run: "JsonObject") -> tuple[str, int]:
    """How a run ended: in a word, and as an exit code."""
    code = int(run.get("exit", 0))
    word = "nothing new" if not code and run.get("result", {}).get("nothing_new") else _WORDS.get(code, "failed")
    return word, code


def _bring_runs(connection: "WarehouseConnection", lake: "Lake", today: date) -> None:
    with _transaction(connection):
        held = connection.run(f"select {', '.join(_RUN_COLUMNS)} from {RUNS}")
        missing = sorted(set(recent_runs(lake, today)) - {row[0] for row in held})
        with ThreadPoolExecutor(_THREADS) as pool:
            found = zip(missing, pool.map(lake.get_json, missing), strict=True)
            new = [_run_row(key, run) for key, run in found if run]
        bookkeeping.insert_rows(connection, RUNS, _RUN_COLUMNS, new)
        _delete(connection, RUNS, "run", _outdated([*held, *new], today))


def _run_row(key: str, run: "JsonObject") -> Row:
    word, code = ending(run)
    times = (datetime.fromisoformat(run[name]) for name in ("started_at", "ended_at"))
    return (key, run["stage"], run["entity"], code, *times, word, run["run_id"])


def _outdated(runs: Sequence[Row], today: date) -> list[str]:
    """Those of earlier days that are not the newest of their stage, entity and exit code."""
    since = datetime.combine(today - timedelta(days=RUN_DAYS), time(), UTC)
    newest: dict[Row, tuple[datetime, str]] = {}
    for run, *kind, _, ended_at, _, _ in runs:
        newest[tuple(kind)] = max((ended_at, run), newest.get(tuple(kind), (ended_at, run)))
    return [
        run
        for run, *kind, started_at, ended_at, _, _ in runs
        if started_at < since and (ended_at, run) < newest[tuple(kind)]
    ]


def _bring_held_back(connection: "WarehouseConnection", catalog: "Catalog") -> None:
    with _transaction(connection):
        # Behind the lock: of two processes the later one has seen the newer quarantine.
        table = silver_table(catalog, layout.QUARANTINE)
        head = Refs(table).main
        if head == bookkeeping.load_checkpoint(connection, layout.QUARANTINE).snapshot_id:
            return
        files = _files(table)
        held = {file for (file,) in connection.run(f"select distinct file from {HELD_BACK}")}
        _delete(connection, HELD_BACK, "file", sorted(held - files.keys()))
        new = sorted(files.keys() - held)
        with ThreadPoolExecutor(_THREADS) as pool:
            counted = pool.map(lambda file: files[file](), new)
            rows = [(file, *row) for file, found in zip(new, counted, strict=True) for row in found]
        columns = ("file", "entity", "reason", "records", "first_rejected_at", "last_rejected_at")
        bookkeeping.insert_rows(connection, HELD_BACK, columns, rows)
        bookkeeping.save_checkpoint(connection, layout.QUARANTINE, LoadCheckpoint(head, None))


def _files(table: "Table | None") -> dict[str, Callable[[], list[Row]]]:
    """The data files of the quarantine, each with what counts it.

    Equal keys stand for the same rows: a file never changes, and what was deleted of it stands in other files.
    """
    files: dict[str, Callable[[], list[Row]]] = {}
    if table is None:
        return files
    for task in table.scan().plan_files():
        paths = [task.file.file_path, *sorted(deleted.file_path for deleted in task.delete_files)]
        files[hashlib.sha256("\n".join(paths).encode()).hexdigest()] = partial(_count_reasons, table, task)
    return files


def _count_reasons(table: "Table", task: "FileScanTask") -> list[Row]:
    """By entity and reason: how many records of a file, and when the first and the last came."""
    columns = table.schema().select("entity", "reasons", "ingested_at")
    instants: dict[tuple[str, str], list[datetime]] = defaultdict(list)
    for batch in ArrowScan(table.metadata, table.io, columns, AlwaysTrue()).to_record_batches([task]):
        for row in batch.to_pylist():
            for reason in {_without_value(reason) for reason in row["reasons"] or ("unknown",)}:
                instants[row["entity"], reason].append(row["ingested_at"])
    return [(*what, len(times), min(times), max(times)) for what, times in sorted(instants.items())]


def _without_value(reason: str) -> str:
    return _WHAT_CAME.sub("", reason)[:_REASON_LENGTH]


@contextmanager
def _transaction(connection: "WarehouseConnection") -> Iterator[None]:
    """One process at a time, between the two places where a drill kills it."""
    with connection.transaction():
        if connection.dialect is Dialect.POSTGRES:  # elsewhere the warehouse lock is exclusive anyway
            connection.run(_LOCK)
        yield
        crash_point(Failpoint.LOAD_BEFORE_TRUST)
    crash_point(Failpoint.LOAD_AFTER_TRUST)


def _delete(connection: "WarehouseConnection", table: str, key: str, values: Sequence[str]) -> None:
    for chunk in bookkeeping.chunks(values):
        connection.run(f"delete from {table} where {key} in ({', '.join(['%s'] * len(chunk))})", chunk)
