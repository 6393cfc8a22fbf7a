"""The platform's book-keeping inside the warehouse: load checkpoints, and the queue of changes that gold lacks.

    deftunes_control.loaded    one row per entity, and for the quarantine: the snapshot that the warehouse holds; one
                               row for gold: the digest of the dbt project that built it
    deftunes_control.changed   the change queue: what was loaded, or asked for, and is not modelled yet
    deftunes_control.shown     which change of the sales each BI view shows; dbt's own, empty on Redshift
    deftunes_control.held_back, deftunes_control.runs   what readers are told of the data's trust (state/trust.py)

`load` enqueues its changes in the transaction that loads them. `model` computes everything pending, and clears the
queue when gold shows it; killed before that, the next `model` finds the same queue and does the work once more. So gold
never misses a change, whichever interval is modelled after it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from deftunes.adapters.warehouse import Dialect, Row, WarehouseConnection
from deftunes.core import layout
from deftunes.core.entities import Entity

LOADED = f"{layout.CONTROL_SCHEMA}.loaded"
CHANGED = f"{layout.CONTROL_SCHEMA}.changed"
SHOWN = f"{layout.CONTROL_SCHEMA}.shown"
HELD_BACK = f"{layout.CONTROL_SCHEMA}.held_back"
RUNS = f"{layout.CONTROL_SCHEMA}.runs"
_GOLD = "gold"  # the row beside the entities' that says which dbt project built gold
_CHECKPOINTS = (*(entity.value for entity in Entity), layout.QUARANTINE, _GOLD)
ARTISTS = "artists"  # queued beside the entities: a dimension of its own, made of songs and sales
EVERYTHING = "*"  # the unit that stands for all of an entity: a first load, or silver was set back

# The second number of a two-number advisory lock never meets the one-number lock that connections hold.
_LOCK_SETUP = "select pg_advisory_xact_lock(hashtext('deftunes_control'), 0)"
_TABLES = ("loaded", "changed", "shown", "held_back", "runs")
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
_SHOWN_TABLE = (
    f"create table if not exists {SHOWN} (name text not null primary key, change text not null, previous text, "
    "definition text)"
)
_HELD_BACK_TABLE = (
    f"create table if not exists {HELD_BACK} (file text not null, entity text not null, reason text not null, "
    "records bigint not null, first_rejected_at timestamp with time zone not null, "
    "last_rejected_at timestamp with time zone not null, primary key (file, entity, reason))"
)
_RUNS_TABLE = (
    f"create table if not exists {RUNS} (run text not null primary key, stage text not null, entity text not null, "
    "started_at timestamp with time zone not null, ended_at timestamp with time zone not null, "
    "outcome text not null, exit_code integer not null, run_id text not null)"
)
# As wide as a key in silver may be from before its rules had a bound. Redshift takes `text` for varchar(256).
_UNIT = {Dialect.POSTGRES: "text", Dialect.REDSHIFT: "varchar(65535)"}
_ROWS_A_STATEMENT = 500
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class LoadCheckpoint:
    """The silver snapshot that the warehouse holds; None before the first batch."""

    snapshot_id: int | None
    batch_id: str | None


def create_tables(connection: WarehouseConnection) -> None:
    """Create the tables and the rows of checkpoints where they are missing; writes nothing otherwise.

    A copy of the schemas without their rows has the tables alone. Where the queue is gone and the checkpoints are not,
    nobody knows what gold lacks: everything is enqueued.
    """
    with connection.transaction():
        if all(_present(connection)):
            checkpoints = connection.run(f"select count(*) from {LOADED}")
            if checkpoints[0][0] >= len(_CHECKPOINTS):
                return
    with connection.transaction():
        lock_setup(connection)
        create_schema(connection, layout.CONTROL_SCHEMA)
        loaded, changed, *_ = _present(connection)  # again: another process may have made them meanwhile
        connection.run(_LOADED_TABLE)
        connection.run(_CHANGED_TABLE.format(unit=_UNIT[connection.dialect]))
        connection.run(_SHOWN_TABLE)
        connection.run(_HELD_BACK_TABLE)
        connection.run(_RUNS_TABLE)
        for name in _CHECKPOINTS:
            connection.run(
                f"insert into {LOADED} (entity) select %s where not exists (select 1 from {LOADED} where entity = %s)",
                (name, name),
            )
        # Of a table that somebody dropped, the checkpoint says what is there no more; what is there is not read again.
        connection.run(f"update {LOADED} set snapshot_id = null where entity = '{layout.QUARANTINE}'")
        if loaded and not changed:
            enqueue_changes(connection, Entity.SESSIONS, [EVERYTHING])


def _present(connection: WarehouseConnection) -> Sequence[int]:
    """For each table whether it is there."""
    counts = ", ".join(f"count(case when table_name = '{name}' then 1 end)" for name in _TABLES)
    (found,) = connection.run(
        f"select {counts} from information_schema.tables where table_schema = %s", (layout.CONTROL_SCHEMA,)
    )
    return found


def lock_setup(connection: WarehouseConnection) -> None:
    """Let one connection at a time set up, until the transaction ends: two would race for a schema's name."""
    if connection.dialect is Dialect.POSTGRES:  # elsewhere the warehouse lock is exclusive anyway
        connection.run(_LOCK_SETUP)


def create_schema(connection: WarehouseConnection, name: str) -> None:
    """Create a schema that is missing.

    IF NOT EXISTS would want the right to create schemas even where a DBA has created them for a user without it.
    """
    if not connection.run("select 1 from pg_namespace where nspname = %s", (name,)):
        connection.run(f"create schema {name}")


def load_checkpoint(connection: WarehouseConnection, entity: str, *, lock: bool = False) -> LoadCheckpoint:
    """The checkpoint of an entity or of quarantine. `lock` locks the row until the transaction ends: loads queue."""
    lock_clause = " for update" if lock and connection.dialect is Dialect.POSTGRES else ""
    rows = connection.run(f"select snapshot_id, batch_id from {LOADED} where entity = %s{lock_clause}", (str(entity),))
    return LoadCheckpoint(*rows[0])


def save_checkpoint(connection: WarehouseConnection, entity: str, checkpoint: LoadCheckpoint) -> None:
    """Save which snapshot the warehouse holds from this transaction on."""
    connection.run(
        f"update {LOADED} set snapshot_id = %s, batch_id = %s where entity = %s",
        (checkpoint.snapshot_id, checkpoint.batch_id, str(entity)),
    )


def enqueue_changes(connection: WarehouseConnection, entity: Entity, units: Sequence[str]) -> None:
    """Enqueue units as not modelled yet; idempotent in effect, since `model` computes a unit once."""
    insert_rows(connection, CHANGED, ("entity", "unit"), [(entity.value, unit) for unit in units])


def insert_rows(connection: WarehouseConnection, table: str, columns: Sequence[str], rows: Sequence[Row]) -> None:
    """Insert any number of rows, some hundred a statement."""
    one = f"({', '.join(['%s'] * len(columns))})"
    for chunk in chunks(rows):
        connection.run(
            f"insert into {table} ({', '.join(columns)}) values " + ", ".join([one] * len(chunk)),
            [value for row in chunk for value in row],
        )


def chunks(values: Sequence[T]) -> Iterator[Sequence[T]]:
    """The values, in pieces that a statement can take."""
    for begin in range(0, len(values), _ROWS_A_STATEMENT):
        yield values[begin : begin + _ROWS_A_STATEMENT]


def pending_changes(connection: WarehouseConnection, entity: Entity) -> set[str]:
    """The units of an entity that are not modelled yet, and `EVERYTHING` where it is pending for any entity."""
    rows = connection.run(
        f"select distinct unit from {CHANGED} where entity = %s or unit = %s", (entity.value, EVERYTHING)
    )
    return {unit for (unit,) in rows}


def clear_changes(connection: WarehouseConnection, *, project: str) -> None:
    """Clear the queue: gold shows everything pending, as this dbt project computes it."""
    connection.run(f"delete from {CHANGED}")
    connection.run(
        f"update {LOADED} set batch_id = %s where entity = %s and (batch_id is null or batch_id <> %s)",
        (project, _GOLD, project),
    )


def modelled_project(connection: WarehouseConnection) -> str | None:
    """The digest of the dbt project that built gold last."""
    rows = connection.run(f"select batch_id from {LOADED} where entity = %s", (_GOLD,))
    return rows[0][0] if rows else None
