"""What a model run computes again: what `load` enqueued, the days asked for, and every member that these can change.

A member of a dimension is enqueued when its own rows changed in silver, when a song of it did, or when it is inferred
from sales of these days. Sales are seen as gold has them, too: after the facts are replaced nobody could tell which
members the old ones named, so everything is enqueued before anything is built, and stays until all of it is done.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from deftunes.adapters.warehouse import Dialect, WarehouseConnection
from deftunes.core import layout
from deftunes.core.entities import Entity
from deftunes.core.interval import Interval, midnight, runs_of
from deftunes.state import bookkeeping

_GOLD = ("dim_artists", "dim_songs", "dim_users", "fact_session")
_SHOWN = "sales_shown"  # on PostgreSQL: what the views of sales are brought up to date from
_SILVER = {entity: f"{layout.DATABASE}.{entity}" for entity in Entity}
_FACTS = f"{layout.SERVING_SCHEMA}.fact_session"
# Which dimension holds the members of a key, under which word they are enqueued, and which entity knows them.
_MEMBERS = (
    ("track_id", "dim_songs", Entity.SONGS.value, Entity.SONGS),
    ("artist_id", "dim_artists", bookkeeping.ARTISTS, Entity.SONGS),
    ("user_id", "dim_users", Entity.USERS.value, Entity.USERS),
)


@dataclass(frozen=True, slots=True)
class RebuildScope:
    """`everything`: gold is computed anew as a whole. `days` are the UTC days whose facts are replaced."""

    everything: bool
    days: tuple[date, ...]


def enqueue_scope(connection: WarehouseConnection, interval: Interval, *, everything: bool) -> RebuildScope:
    """Enqueue all that this run computes again, in the caller's transaction."""
    pending = bookkeeping.pending_changes(connection, Entity.SESSIONS)
    asked = {day.isoformat() for day in interval.days()}
    bookkeeping.enqueue_changes(connection, Entity.SESSIONS, sorted(asked - pending))
    everything = everything or not _gold_is_there(connection)
    if everything and bookkeeping.EVERYTHING not in pending:
        bookkeeping.enqueue_changes(connection, Entity.SESSIONS, [bookkeeping.EVERYTHING])
    days = tuple(sorted(date.fromisoformat(unit) for unit in (asked | pending) - {bookkeeping.EVERYTHING}))
    scope = RebuildScope(everything or bookkeeping.EVERYTHING in pending, days)
    if not scope.everything:
        _enqueue_artists_of_changed_songs(connection)
        _enqueue_inferred_members(connection, days)
    if connection.dialect is Dialect.POSTGRES:
        connection.run(f"analyze {bookkeeping.CHANGED}")
    return scope


def _gold_is_there(connection: WarehouseConnection) -> bool:
    tables = (*_GOLD, _SHOWN) if connection.dialect is Dialect.POSTGRES else _GOLD
    rows = connection.run(
        f"select count(*) from information_schema.tables where table_schema = %s and table_name in {tables}",
        (layout.SERVING_SCHEMA,),
    )
    return bool(rows[0][0] == len(tables))


def _enqueue_artists_of_changed_songs(connection: WarehouseConnection) -> None:
    """Of the song as it is, and as gold still has it: a song may have changed its artist."""
    for songs in (_SILVER[Entity.SONGS], f"{layout.SERVING_SCHEMA}.dim_songs"):
        connection.run(
            f"insert into {bookkeeping.CHANGED} (entity, unit) select distinct '{bookkeeping.ARTISTS}', artist_id "
            f"from {songs} where track_id in (select unit from {bookkeeping.CHANGED} where entity = '{Entity.SONGS}')"
        )


def _enqueue_inferred_members(connection: WarehouseConnection, days: Sequence[date]) -> None:
    """Members that no source knows and that a sale of these days names, in silver now or in gold before."""
    runs = runs_of(days)
    dates = [bound for run in runs for bound in (run.start, run.end)]
    instants = [midnight(bound) for bound in dates]
    by_instant = " or ".join(["(session_start_time >= %s and session_start_time < %s)"] * len(runs))
    by_date = " or ".join(["(session_date >= %s and session_date < %s)"] * len(runs))
    for key, dimension, word, entity in _MEMBERS:
        connection.run(
            f"insert into {bookkeeping.CHANGED} (entity, unit) select '{word}', sold.{key} "
            f"from (select distinct {key} from {_SILVER[Entity.SESSIONS]} where {by_instant}) as sold "
            f"left join {_SILVER[entity]} as known on sold.{key} = known.{key} where known.{key} is null",
            instants,
        )
        connection.run(
            f"insert into {bookkeeping.CHANGED} (entity, unit) select '{word}', sold.{key} "
            f"from (select distinct {key} from {_FACTS} where {by_date}) as sold "
            f"inner join {layout.SERVING_SCHEMA}.{dimension} as held on sold.{key} = held.{key} where held.is_inferred",
            dates,
        )
