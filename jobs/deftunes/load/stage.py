"""Stage load: make the warehouse's `deftunes_transform.<entity>` equal to silver's `main`.

    what changed since the load checkpoint -> one transaction: rows, the change queue for `model`, the new checkpoint

A load that dies leaves the checkpoint before, and the next one starts from that; where nothing changed nothing is
written. Every load makes the tables that are missing, empty, so that the models can be built on the rest. Loads of one
entity queue at its checkpoint and read `main` behind it, so an older head never overwrites a newer one. On Redshift
silver is read where it lies: only the change queue is written.
"""

from dataclasses import dataclass
from typing import Protocol

from pyiceberg.catalog import Catalog
from pyiceberg.table import Table

from deftunes.adapters.catalog import rows_of, silver_table
from deftunes.adapters.lake import Lake
from deftunes.adapters.warehouse import Dialect, Warehouse, WarehouseConnection
from deftunes.core.entities import Entity
from deftunes.core.failpoints import Failpoint, crash_point
from deftunes.job import Job
from deftunes.load import external, postgres, sessions, songs, users
from deftunes.load.changes import Changes, changes_since
from deftunes.resources import Resources
from deftunes.state import bookkeeping
from deftunes.state.bookkeeping import LoadCheckpoint


class _EntityLoad(Protocol):
    """What the module of each entity does."""

    def replace_rows(self, connection: WarehouseConnection, table: Table, changes: Changes) -> int:
        """Bring the changes' rows into PostgreSQL and enqueue them; the number of rows."""

    def enqueue(self, connection: WarehouseConnection, changes: Changes) -> None:
        """Enqueue the changes where silver is read where it lies."""


_ENTITIES: dict[Entity, _EntityLoad] = {Entity.SONGS: songs, Entity.USERS: users, Entity.SESSIONS: sessions}


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """What a load did. `rows` were written to the warehouse; `snapshot_id` is None before the first batch."""

    entity: Entity
    snapshot_id: int | None
    batch_id: str | None
    changed: bool
    rows: int = 0


def run(resources: Resources, job: Job) -> Loaded:
    """Run the stage."""
    return load(resources.catalog, resources.lake, resources.warehouse, job.expect_entity())


def load(catalog: Catalog, lake: Lake, warehouse: Warehouse, entity: Entity) -> Loaded:
    """Load what changed; all of it or nothing.

    Raises:
        DeftunesError: a batch has no manifest, or silver has a column that the warehouse cannot hold.
        RetriableError: the warehouse is away, or a `model` holds it for longer than the lock timeout.
    """
    with warehouse.hold(exclusive=False) as connection:
        bookkeeping.create_tables(connection)
        if connection.dialect is Dialect.POSTGRES:
            postgres.create_tables(connection)
        table = silver_table(catalog, entity)
        with connection.transaction():
            before = _held(connection, entity, table, bookkeeping.load_checkpoint(connection, entity))
        if _head(table) == before.snapshot_id:
            return _unchanged(entity, before)
        with connection.transaction():
            checkpoint = bookkeeping.load_checkpoint(connection, entity, lock=True)
            table = silver_table(catalog, entity)  # again, now that no other load of this entity can run
            before = _held(connection, entity, table, checkpoint)
            changes = changes_since(table, before.snapshot_id, entity, lake) if table else None
            if table is None or changes is None:
                return _unchanged(entity, before)
            rows = _apply(connection, entity, table, changes)
            after = LoadCheckpoint(changes.head, changes.batch_id or before.batch_id)
            bookkeeping.save_checkpoint(connection, entity, after)
            crash_point(Failpoint.LOAD_BEFORE_COMMIT)
    crash_point(Failpoint.LOAD_AFTER_COMMIT)
    return Loaded(entity=entity, snapshot_id=after.snapshot_id, batch_id=after.batch_id, changed=True, rows=rows)


def _held(
    connection: WarehouseConnection, entity: Entity, table: Table | None, checkpoint: LoadCheckpoint
) -> LoadCheckpoint:
    """What the warehouse holds; nothing, where somebody emptied the table behind the checkpoint's back."""
    emptied = connection.dialect is Dialect.POSTGRES and rows_of(table) and postgres.is_empty(connection, entity)
    return LoadCheckpoint(None, checkpoint.batch_id) if emptied else checkpoint


def _unchanged(entity: Entity, checkpoint: LoadCheckpoint) -> Loaded:
    return Loaded(entity=entity, snapshot_id=checkpoint.snapshot_id, batch_id=checkpoint.batch_id, changed=False)


def _apply(connection: WarehouseConnection, entity: Entity, table: Table, changes: Changes) -> int:
    if not (changes.everything or changes.batches):
        return 0  # compactions alone: the same rows in other files
    if connection.dialect is Dialect.REDSHIFT:
        external.expect_readable(connection, entity)
        if changes.everything:
            bookkeeping.enqueue_changes(connection, entity, [bookkeeping.EVERYTHING])
        else:
            _ENTITIES[entity].enqueue(connection, changes)
        return 0
    postgres.fit_table(connection, entity, table)
    if changes.everything:
        return postgres.replace_everything(connection, entity, table)
    return _ENTITIES[entity].replace_rows(connection, table, changes)


def _head(table: Table | None) -> int | None:
    head = table.current_snapshot() if table else None
    return head.snapshot_id if head else None
