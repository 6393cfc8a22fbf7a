"""Make the warehouse's `deftunes_transform.<entity>` equal to silver's `main`.

    what changed since the loaded snapshot -> one transaction: rows, the notes for `model`, the snapshot loaded

A load that dies leaves the snapshot before, and the next one starts from that; where nothing changed nothing is
written. Every load makes the tables that are missing, empty, so that the models can be built on the rest. Loads of one
entity queue at its row of book-keeping and read `main` behind it, so an older head never overwrites a newer one. On
Redshift silver is read where it lies: only the notes are written.
"""

from dataclasses import dataclass

from pyiceberg.catalog import Catalog
from pyiceberg.table import Table

from deftunes.adapters.catalog import silver_table
from deftunes.adapters.lake import Lake
from deftunes.adapters.warehouse import Dialect, Session, Warehouse
from deftunes.core.entities import Entity
from deftunes.core.failpoints import Failpoint, reach
from deftunes.load import external, postgres
from deftunes.load.changes import Changes, changes_since
from deftunes.state import bookkeeping


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a load did. `rows` were written to the warehouse; `snapshot_id` is None before the first batch."""

    entity: Entity
    snapshot_id: int | None
    batch_id: str | None
    changed: bool
    rows: int = 0


def load(catalog: Catalog, lake: Lake, warehouse: Warehouse, entity: Entity) -> Loaded:
    """Bring what changed; all of it or nothing.

    Raises:
        DeftunesError: a batch has no manifest, or silver has a column that the warehouse cannot hold.
        RetriableError: the warehouse is away, or a `model` holds it for longer than the lock timeout.
    """
    with warehouse.hold(exclusive=False) as session:
        bookkeeping.prepare(session)
        if session.dialect is Dialect.POSTGRES:
            postgres.make_tables(session)
        with session.transaction():
            before = bookkeeping.loaded(session, entity)
        if _head(silver_table(catalog, entity)) == before.snapshot_id:
            return Loaded(entity, before.snapshot_id, before.batch_id, changed=False)
        with session.transaction():
            before = bookkeeping.loaded(session, entity, lock=True)
            table = silver_table(catalog, entity)  # again, now that no other load of this entity can run
            changes = changes_since(table, before.snapshot_id, entity, lake) if table else None
            if table is None or changes is None:
                return Loaded(entity, before.snapshot_id, before.batch_id, changed=False)
            rows = _apply(session, entity, table, changes)
            batch_id = changes.batch_id or before.batch_id
            bookkeeping.set_loaded(session, entity, bookkeeping.Loaded(changes.head, batch_id))
            reach(Failpoint.LOAD_BEFORE_COMMIT)
    reach(Failpoint.LOAD_AFTER_COMMIT)
    return Loaded(entity, changes.head, batch_id, changed=True, rows=rows)


def _apply(session: Session, entity: Entity, table: Table, changes: Changes) -> int:
    if not (changes.everything or changes.batches):
        return 0  # compactions alone: the same rows in other files
    if session.dialect is Dialect.REDSHIFT:
        return external.note_changes(session, entity, changes)
    postgres.fit_table(session, entity, table)
    if changes.everything:
        return postgres.replace_everything(session, entity, table)
    match entity:
        case Entity.SONGS:
            return postgres.replace_songs(session, table, changes)
        case Entity.USERS:
            return postgres.replace_users(session, table, changes)
        case Entity.SESSIONS:
            return postgres.replace_days(session, table, changes)


def _head(table: Table | None) -> int | None:
    head = table.current_snapshot() if table else None
    return head.snapshot_id if head else None
