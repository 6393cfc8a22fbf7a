"""Users: the versions of the landings' instants go, the batches' rows come."""

from pyiceberg.expressions.parser import parse
from pyiceberg.table import Table

from deftunes.adapters.warehouse import WarehouseConnection
from deftunes.core import layout
from deftunes.core.entities import Entity
from deftunes.load import external
from deftunes.load.changes import Changes
from deftunes.load.postgres import STAGED, literals, replace_by_key, stage_rows
from deftunes.load.tables import table_name
from deftunes.state import bookkeeping


def replace_rows(connection: WarehouseConnection, table: Table, changes: Changes) -> int:
    """The versions of the landings' instants: a landing read again at the same instant may hold fewer of them."""
    # Rows of an instant may have been rewritten by no batch of these, so every file is asked for them.
    chosen = parse(
        f"batch_id in ({literals(changes.batches)}) "
        f"or effective_from in ({literals(instant.isoformat() for instant in changes.instants)})"
    )
    rows = stage_rows(connection, Entity.USERS, table, chosen, table.scan(row_filter=chosen).plan_files())
    connection.run(
        f"with gone as (delete from {table_name(Entity.USERS)} where effective_from in %s "
        "returning user_id, effective_from), touched as (select user_id, effective_from from gone "
        f"union all select user_id, effective_from from {STAGED}) "
        f"insert into {bookkeeping.CHANGED} (entity, unit, since) "
        f"select '{Entity.USERS}', user_id, min(effective_from) from touched group by user_id",
        (tuple(changes.instants),),
    )
    replace_by_key(connection, Entity.USERS, table)
    return rows


def enqueue(connection: WarehouseConnection, changes: Changes) -> None:
    """The users that the batches wrote, and those that lost a version by them."""
    external.enqueue_keys(connection, Entity.USERS, changes, key="user_id", since="min(effective_from)")
    _enqueue_removed_versions(connection)


def _enqueue_removed_versions(connection: WarehouseConnection) -> None:
    """A landing read again at the same instant may hold fewer versions; the old rows are nowhere but in gold."""
    if not connection.run(
        "select 1 from information_schema.tables where table_schema = %s and table_name = 'dim_users'",
        (layout.SERVING_SCHEMA,),
    ):
        return
    connection.run(
        f"insert into {bookkeeping.CHANGED} (entity, unit, since) "
        f"select '{Entity.USERS}', gold.user_id, cast('1900-01-01 00:00:00+00' as timestamp with time zone) "
        f"from (select user_id, count(*) as versions from {layout.SERVING_SCHEMA}.dim_users "
        "where not is_inferred group by user_id) as gold "
        f"left join (select user_id, count(*) as versions from {table_name(Entity.USERS)} group by user_id) as silver "
        "on silver.user_id = gold.user_id where silver.versions is null or silver.versions < gold.versions"
    )
