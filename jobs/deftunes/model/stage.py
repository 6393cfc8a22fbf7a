"""Stage model: build gold (dimensions, facts and BI views) from silver as the warehouse shows it.

    lock -> enqueue what is computed again -> dbt build (dimensions, facts, tests, BI views) -> clear the queue

One run at a time per warehouse, and no `load` meanwhile. Gold is a function of silver: a day is deleted and written
again, a member is computed anew, so running twice, or after a kill anywhere, ends in the same rows. A failing test
stops before the BI views are refreshed, and the change queue stays, so the next run tests the same days again.
"""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from deftunes.adapters.dbt import THREADS, Built, Project, Run
from deftunes.adapters.postgres_errors import is_transient
from deftunes.adapters.warehouse import Dialect, Warehouse, WarehouseConnection
from deftunes.adapters.warehouse_failures import explain_words
from deftunes.core import layout
from deftunes.core.entities import Entity
from deftunes.core.errors import DeftunesError, RetriableError
from deftunes.core.failpoints import Failpoint, crash_point
from deftunes.core.interval import Interval
from deftunes.job import Job
from deftunes.model.scope import enqueue_scope
from deftunes.resources import Resources
from deftunes.state import bookkeeping

_TARGETS = {Dialect.POSTGRES: "local", Dialect.REDSHIFT: "redshift"}
# dbt passes on the drivers' words only. Beside a lost connection, how they say that another transaction came first:
# PostgreSQL's 40P01, 40001 and 55P03, Redshift's 1023, and psycopg2's for a connection that it lost before.
_TRANSIENT = (
    "deadlock detected",
    "could not serialize",
    "canceling statement due to lock timeout",
    "serializable isolation violation",
    "connection already closed",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Modelled:
    """What a model run did. `everything`: gold was computed anew as a whole; `days` were replaced otherwise."""

    interval: Interval
    everything: bool
    days: int
    models: int
    tests: int


def get_ready(resources: Resources) -> None:
    """Begin what takes long before the stage's turn comes; what is wrong is the stage's to report."""
    with suppress(DeftunesError):
        target = _TARGETS[resources.warehouse.dialect]
        settings = resources.settings
        resources.start_dbt(Project(settings.dbt_project, settings.home / "dbt", target))


def run(resources: Resources, job: Job) -> Modelled:
    """Run the stage."""
    settings = resources.settings
    return model(
        resources.warehouse,
        job.window.interval,
        project=settings.dbt_project,
        work=settings.home / "dbt",
        run_dbt=resources.run_dbt,
    )


def model(
    warehouse: Warehouse,
    interval: Interval,
    *,
    project: Path,
    work: Path,
    everything: bool = False,
    run_dbt: Run | None = None,
) -> Modelled:
    """Build gold for the interval and all that was loaded since the last build.

    `project` is the dbt project's folder, only read; `work` takes dbt's logs and compiled SQL. `everything` computes
    gold anew as a whole, which happens by itself on first use and when the project's SQL changed. `run_dbt` is where
    dbt runs, if not in this process.

    Raises:
        DeftunesError: nothing is loaded yet, a model cannot be built, or a test fails.
        RetriableError: the warehouse is away, or somebody holds it for longer than the lock timeout.
    """
    dbt = Project(project, work, _TARGETS[warehouse.dialect])
    digest = dbt.digest()
    with warehouse.hold(exclusive=True) as connection:
        bookkeeping.create_tables(connection)
        _expect_silver(connection)
        with connection.transaction():
            rebuilt = bookkeeping.modelled_project(connection) != digest
            scope = enqueue_scope(connection, interval, everything=everything or rebuilt)
        crash_point(Failpoint.MODEL_BEFORE_BUILD)
        built = dbt.build(
            warehouse.dbt_environment(),
            full_refresh=rebuilt or everything,
            threads=_threads(warehouse.free_connections()),
            run=run_dbt,
        )
        if not built.succeeded:
            raise _failure(built, interval, dbt.log)
        crash_point(Failpoint.MODEL_AFTER_BUILD)
        with connection.transaction():
            bookkeeping.clear_changes(connection, project=digest)
    return Modelled(
        interval=interval,
        everything=scope.everything,
        days=len(scope.days),
        models=built.models,
        tests=built.tests,
    )


def _threads(free_connections: int | None) -> int:
    """As many as the warehouse has connections for, beside one that dbt opens by itself."""
    return THREADS if free_connections is None else max(1, min(THREADS, free_connections - 1))


def _expect_silver(connection: WarehouseConnection) -> None:
    if connection.dialect is Dialect.REDSHIFT:
        return  # external tables are in no information_schema; dbt says which one is missing
    with connection.transaction():
        present = {name for (name,) in connection.run(
            "select table_name::text from information_schema.tables where table_schema = %s", (layout.DATABASE,)
        )}  # fmt: skip
    missing = sorted({entity.value for entity in Entity} - present)
    if missing:
        raise DeftunesError(
            f"model: expected {layout.DATABASE} in the warehouse, got no {', '.join(missing)}. "
            f"Run `deftunes load {missing[0]}` first"
        )


def _failure(built: Built, interval: Interval, log: Path) -> DeftunesError:
    if built.problem is not None:
        kind = RetriableError if _is_transient(built.problem) else DeftunesError
        return kind(f"model {interval}: dbt could not build: {explain_words(built.problem)}. Its log is {log}")
    lines = [
        f"  {node.kind} {node.name}: {explain_words(node.message)}"
        + (f"\n    SQL: {node.compiled}" if node.compiled else "")
        for node in built.failed
    ]
    head = f"model {interval}: expected every model and test to succeed, got {len(built.failed)} that did not"
    tail = f"{built.skipped} after them were left as they are; run `deftunes model` again once the cause is removed"
    kind = (
        RetriableError if built.failed and all(_is_transient(node.message) for node in built.failed) else DeftunesError
    )
    return kind("\n".join([f"{head}:", *lines, tail]))


def _is_transient(message: str) -> bool:
    return is_transient(None, message) or any(words in message.lower() for words in _TRANSIENT)
