"""The platform's book-keeping inside the warehouse: what is loaded, and what gold does not show yet.

    deftunes_control.loaded    one row per entity: the silver snapshot that the warehouse holds; one row for gold:
                               the digest of the dbt project that built it
    deftunes_control.changed   what was loaded, or asked for, and is not modelled yet

`load` notes its changes in the transaction that brings them. `model` takes everything noted, and forgets it when gold
shows it; killed before that, the next `model` finds the notes again and does the work once more. So gold never misses
a change, whichever interval is modelled after it.
"""

from dataclasses import dataclass

from deftunes.adapters.warehouse import Dialect, Session
from deftunes.core import layout
from deftunes.core.entities import Entity

LOADED = f"{layout.CONTROL_SCHEMA}.loaded"
CHANGED = f"{layout.CONTROL_SCHEMA}.changed"
_GOLD = "gold"  # the row beside the entities' that says which dbt project built gold
ARTISTS = "artists"  # noted beside the entities: a dimension of its own, made of songs and sales
EVERYTHING = "*"  # the unit that stands for all of an entity: a first load, or silver was set back

# The second number of a two-number advisory lock never meets the one-number lock that sessions hold.
_SERIALIZE = "select pg_advisory_xact_lock(hashtext('deftunes_control'), 0)"
_TABLES = ("loaded", "changed")
_LOADED_TABLE = (
    f"create table if not exists {LOADED} (entity varchar(16) not null primary key, snapshot_id bigint, "
    "batch_id varchar(16))"
)
# unit: an ISO day of sessions, a track_id, a user_id, an artist_id, or '*'. since: from when on a user's sales
# may belong to another version of him.
_CHANGED_TABLE = (
    f"create table if not exists {CHANGED} (entity varchar(16) not null, unit {{unit}} not null, "
    "since timestamp with time zone)"
)
# As wide as a key in silver may be: no rule bounds an artist_id. Redshift takes `text` for varchar(256).
_UNIT = {Dialect.POSTGRES: "text", Dialect.REDSHIFT: "varchar(65535)"}
_WIDEST = 65_535


@dataclass(frozen=True, slots=True)
class Loaded:
    """The silver snapshot that the warehouse holds; None before the first batch."""

    snapshot_id: int | None
    batch_id: str | None


def prepare(session: Session) -> None:
    """Make the tables where they are missing, and widen one of an older release; writes nothing otherwise."""
    with session.transaction():
        present = session.run(
            f"select count(*) from information_schema.tables where table_schema = %s and table_name in {_TABLES}",
            (layout.CONTROL_SCHEMA,),
        )
    if present[0][0] == len(_TABLES):
        _widen(session)
        return
    with session.transaction():
        serialize(session)
        session.run(f"create schema if not exists {layout.CONTROL_SCHEMA}")
        session.run(_LOADED_TABLE)
        session.run(_CHANGED_TABLE.format(unit=_UNIT[session.dialect]))
        for entity in (*(entity.value for entity in Entity), _GOLD):
            session.run(
                f"insert into {LOADED} (entity) select %s where not exists (select 1 from {LOADED} where entity = %s)",
                (entity, entity),
            )


def _widen(session: Session) -> None:
    """Make room for any key where an earlier release left varchar(64): one longer artist_id stopped every model.

    The notes move to a new table in one transaction, because Redshift widens a column in place only outside of any.
    Two loads that both come here do it one after the other, and the second changes nothing.
    """
    with session.transaction():
        ((width,),) = session.run(
            "select character_maximum_length from information_schema.columns "
            "where table_schema = %s and table_name = 'changed' and column_name = 'unit'",
            (layout.CONTROL_SCHEMA,),
        )
    if width is None or width >= _WIDEST:
        return
    with session.transaction():
        serialize(session)
        session.run(f"alter table {CHANGED} rename to changed_narrow")
        session.run(_CHANGED_TABLE.format(unit=_UNIT[session.dialect]))
        session.run(f"insert into {CHANGED} (entity, unit, since) select entity, unit, since from {CHANGED}_narrow")
        session.run(f"drop table {CHANGED}_narrow")


def serialize(session: Session) -> None:
    """One at a time until the transaction ends: two first loads at once would race for a schema's name."""
    if session.dialect is Dialect.POSTGRES:  # elsewhere the warehouse lock is exclusive anyway
        session.run(_SERIALIZE)


def loaded(session: Session, entity: Entity, *, lock: bool = False) -> Loaded:
    """What the warehouse holds of an entity. `lock` keeps the row until the transaction ends: two loads queue."""
    lock_clause = " for update" if lock and session.dialect is Dialect.POSTGRES else ""
    rows = session.run(f"select snapshot_id, batch_id from {LOADED} where entity = %s{lock_clause}", (entity.value,))
    return Loaded(*rows[0])


def set_loaded(session: Session, entity: Entity, state: Loaded) -> None:
    """Note which snapshot the warehouse holds from this transaction on."""
    session.run(
        f"update {LOADED} set snapshot_id = %s, batch_id = %s where entity = %s",
        (state.snapshot_id, state.batch_id, entity.value),
    )


def note(session: Session, entity: Entity, units: list[str]) -> None:
    """Note units as not modelled yet; again is harmless."""
    for begin in range(0, len(units), 500):
        part = units[begin : begin + 500]
        session.run(
            f"insert into {CHANGED} (entity, unit) values " + ", ".join(["(%s, %s)"] * len(part)),
            [value for unit in part for value in (entity.value, unit)],
        )


def project(session: Session) -> str | None:
    """The digest of the dbt project that built gold last."""
    rows = session.run(f"select batch_id from {LOADED} where entity = %s", (_GOLD,))
    return rows[0][0] if rows else None


def forget(session: Session, *, project: str) -> None:
    """Gold shows everything noted, as this dbt project computes it."""
    session.run(f"delete from {CHANGED}")
    session.run(
        f"update {LOADED} set batch_id = %s where entity = %s and (batch_id is null or batch_id <> %s)",
        (project, _GOLD, project),
    )
