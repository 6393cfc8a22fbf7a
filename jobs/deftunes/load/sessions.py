"""Sessions: the replaced days go, main's rows of these days come."""

from pyiceberg.expressions.parser import parse
from pyiceberg.table import Table

from deftunes.adapters.warehouse import WarehouseConnection
from deftunes.core.entities import Entity
from deftunes.core.interval import midnight, runs_of
from deftunes.load.changes import Changes
from deftunes.load.postgres import copy_rows
from deftunes.load.tables import table_name
from deftunes.state import bookkeeping


def replace_rows(connection: WarehouseConnection, table: Table, changes: Changes) -> int:
    """The sessions of the replaced days."""
    if not changes.days:
        return 0
    name = table_name(Entity.SESSIONS)
    filters = []
    for run in runs_of(changes.days):
        bounds = midnight(run.start), midnight(run.end)
        connection.run(f"delete from {name} where session_start_time >= %s and session_start_time < %s", bounds)
        filters.append(
            f"(session_start_time >= '{bounds[0].isoformat()}' and session_start_time < '{bounds[1].isoformat()}')"
        )
    chosen = parse(" or ".join(filters))
    rows = copy_rows(connection, name, table, chosen, table.scan(row_filter=chosen).plan_files())
    enqueue(connection, changes)
    return rows


def enqueue(connection: WarehouseConnection, changes: Changes) -> None:
    """The replaced days."""
    bookkeeping.enqueue_changes(connection, Entity.SESSIONS, [day.isoformat() for day in sorted(changes.days)])
