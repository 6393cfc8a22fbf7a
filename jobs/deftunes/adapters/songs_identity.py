"""What a cursor of the catalogue is bound to: the history that transaction ids count in, and what makes up a row.

`xmin` says which transaction wrote a row. It says nothing where the same number is another transaction (another server,
one that was set back to a copy or lost its last commits) or where a row changes without being written (another column
under the name, another default of an added column, another child table). Each fact here differs after one of these.
"""

import hashlib
import json
from collections.abc import Iterable
from typing import Any

from deftunes.adapters.songs_session import RefusedByServerError, Session

Identity = dict[str, str | None]

# Left unsaid rather than failed: a role may lack the right (42501), a service may not support it (0A000: Aurora), or
# have taken it away (42883), or a server that is promoted just now answers as what it was (55000).
_UNSAID = frozenset({"0A000", "42501", "42883", "55000"})
_HISTORY = {
    "system": "select system_identifier::text as fact from pg_control_system()",
    # A restored copy is another process, and so is the standby that takes over.
    "server start": "select extract(epoch from pg_postmaster_start_time())::text as fact",
    # Counted anew when the server recovers from a crash, which may take back commits that it had not flushed.
    "crash recovery": "select extract(epoch from stats_reset)::text as fact from pg_stat_bgwriter",
    "database": "select oid::text as fact from pg_database where datname = current_database()",
}
# The control file names the timeline of the last checkpoint; what is written now is in a file named after its own.
_TIMELINE = "select substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8) as fact"
_TIMELINE_OF_STANDBY = "select lpad(upper(to_hex(timeline_id)), 8, '0') as fact from pg_control_checkpoint()"
_POSITION = "select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::text as fact"
_POSITION_OF_STANDBY = "select pg_wal_lsn_diff(pg_last_wal_replay_lsn(), '0/0')::text as fact"

_TREE = (
    "with recursive tree(oid) as (select to_regclass('{table}')::oid "
    "union select i.inhrelid from pg_inherits i join tree on i.inhparent = tree.oid) "
)
_MEMBERS = _TREE + (
    "select tree.oid::text as oid, c.relkind::text as kind, coalesce(am.amname::text, '') as storage, "
    "row_security_active('{table}'::regclass) as filtered "
    "from tree join pg_class c on c.oid = tree.oid left join pg_am am on am.oid = c.relam order by tree.oid"
)
# A number belongs to one column of a table and is never given again. Rows from before a column show `attmissingval`.
_COLUMNS = _TREE + (
    "select a.attrelid::text as member, a.attname::text as name, a.attnum::text as number, a.atttypid::text as type, "
    "a.atttypmod::text as modifier, a.attgenerated::text as generated, pg_get_expr(d.adbin, d.adrelid) as expression, "
    "a.attmissingval::text as missing from tree "
    "join pg_attribute a on a.attrelid = tree.oid and not a.attisdropped and a.attname::text in ({names}) "
    "left join pg_attrdef d on a.attgenerated <> '' and d.adrelid = a.attrelid and d.adnum = a.attnum "
    "order by a.attrelid, a.attnum"
)


def identity_of(session: Session, table: str, columns: Iterable[str]) -> Identity:
    """The facts that must all be what they were for a cursor to mean anything; None: the server does not say."""
    names = ", ".join(f"'{name}'" for name in columns)
    described = session.rows(_COLUMNS.format(table=table, names=names))
    return {
        **{name: _fact(session, sql) for name, sql in _HISTORY.items()},
        "timeline": _fact(session, _TIMELINE_OF_STANDBY if _in_recovery(session) else _TIMELINE),
        "tables": ", ".join(member["oid"] for member in _members(session, table)),
        "columns": hashlib.sha256(json.dumps(described).encode()).hexdigest(),
    }


def position_of(session: Session) -> int | None:
    """How far the log is written or replayed; on one history it never goes back. None: the server does not say."""
    said = _fact(session, _POSITION_OF_STANDBY if _in_recovery(session) else _POSITION)
    return None if said is None else int(said)


def keeps_xmin(session: Session, table: str) -> bool:
    """Whether `xmin` tells all that changes in what we see of `table`.

    Not of a view or a partitioned or foreign table, nor where rows are stored otherwise than PostgreSQL does by itself;
    and a row policy shows and hides rows that nobody wrote.
    """
    return all(
        (member["kind"], member["storage"]) == ("r", "heap") and not member["filtered"]
        for member in _members(session, table)
    )


def _members(session: Session, table: str) -> list[dict[str, Any]]:
    return session.rows(_MEMBERS.format(table=table))


def _in_recovery(session: Session) -> bool:
    return bool(session.row("select pg_is_in_recovery() as fact")["fact"])


def _fact(session: Session, sql: str) -> str | None:
    try:
        with session.savepoint():
            (found,) = session.rows(sql) or [{"fact": None}]
    except RefusedByServerError as refusal:
        if refusal.sqlstate in _UNSAID:
            return None
        raise
    fact: str | None = found["fact"]
    return fact
