"""Songs: the batches' rows replace the warehouse's by track."""

from pyiceberg.expressions.parser import parse
from pyiceberg.table import Table

from deftunes.adapters.warehouse import WarehouseConnection
from deftunes.core.entities import Entity
from deftunes.load import external
from deftunes.load.changes import Changes, new_files
from deftunes.load.postgres import STAGED, literals, replace_by_key, stage_rows
from deftunes.state import bookkeeping


def replace_rows(connection: WarehouseConnection, table: Table, changes: Changes) -> int:
    """The rows that the batches wrote, by track."""
    chosen = parse(f"batch_id in ({literals(changes.batches)})")
    rows = stage_rows(connection, Entity.SONGS, table, chosen, new_files(table, changes))
    connection.run(f"insert into {bookkeeping.CHANGED} (entity, unit) select '{Entity.SONGS}', track_id from {STAGED}")
    replace_by_key(connection, Entity.SONGS, table)
    return rows


def enqueue(connection: WarehouseConnection, changes: Changes) -> None:
    """The tracks that the batches wrote."""
    since = "cast(null as timestamp with time zone)"
    external.enqueue_keys(connection, Entity.SONGS, changes, key="track_id", since=since)
