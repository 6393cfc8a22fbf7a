"""Redshift reads silver where it lies, by an external schema: nothing is copied, the changes are noted for `model`."""

from deftunes.adapters.warehouse import Session
from deftunes.core import layout
from deftunes.core.entities import Entity
from deftunes.load.changes import Changes
from deftunes.load.tables import table_name
from deftunes.state import bookkeeping


def note_changes(session: Session, entity: Entity, changes: Changes) -> int:
    """Note what the batches changed; also proves that the external schema answers. Returns 0: no row is written."""
    session.run(f"select 1 from {table_name(entity)} limit 1")
    if changes.everything:
        bookkeeping.note(session, entity, [bookkeeping.EVERYTHING])
    elif entity is Entity.SESSIONS:
        bookkeeping.note(session, entity, [day.isoformat() for day in sorted(changes.days)])
    elif changes.batches:
        batches = tuple(sorted(changes.batches))
        since = "min(effective_from)" if entity is Entity.USERS else "cast(null as timestamp with time zone)"
        key = "user_id" if entity is Entity.USERS else "track_id"
        session.run(
            f"insert into {bookkeeping.CHANGED} (entity, unit, since) select '{entity}', {key}, {since} "
            f"from {table_name(entity)} where batch_id in ({', '.join(['%s'] * len(batches))}) group by {key}",
            batches,
        )
        if entity is Entity.USERS:
            _note_removed_versions(session)
    return 0


def _note_removed_versions(session: Session) -> None:
    """A landing read again at the same instant may hold fewer versions; the old rows are nowhere but in gold."""
    dimension = f"{layout.SERVING_SCHEMA}.dim_users"
    if not session.run(
        "select 1 from information_schema.tables where table_schema = %s and table_name = 'dim_users'",
        (layout.SERVING_SCHEMA,),
    ):
        return
    session.run(
        f"insert into {bookkeeping.CHANGED} (entity, unit, since) "
        f"select '{Entity.USERS}', gold.user_id, cast('1900-01-01 00:00:00+00' as timestamp with time zone) "
        f"from (select user_id, count(*) as versions from {dimension} where not is_inferred group by user_id) as gold "
        f"left join (select user_id, count(*) as versions from {table_name(Entity.USERS)} group by user_id) as silver "
        "on silver.user_id = gold.user_id where silver.versions is null or silver.versions < gold.versions"
    )
