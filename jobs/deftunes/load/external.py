"""Redshift reads silver where it lies, by an external schema: nothing is copied, changes are enqueued for `model`."""

from deftunes.adapters.warehouse import WarehouseConnection
from deftunes.core.entities import Entity
from deftunes.load.changes import Changes
from deftunes.load.tables import table_name
from deftunes.state import bookkeeping


def expect_readable(connection: WarehouseConnection, entity: Entity) -> None:
    """Prove that the external schema answers; the driver's error says why it does not."""
    connection.run(f"select 1 from {table_name(entity)} limit 1")


def enqueue_keys(connection: WarehouseConnection, entity: Entity, changes: Changes, *, key: str, since: str) -> None:
    """Enqueue the keys that the batches wrote; `since` is the SQL of the change's instant."""
    batches = tuple(sorted(changes.batches))
    connection.run(
        f"insert into {bookkeeping.CHANGED} (entity, unit, since) select '{entity}', {key}, {since} "
        f"from {table_name(entity)} where batch_id in ({', '.join(['%s'] * len(batches))}) group by {key}",
        batches,
    )
