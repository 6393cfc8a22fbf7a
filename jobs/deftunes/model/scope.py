"""What a model run computes again: what `load` noted, the days asked for, and every member that these can change.

A member of a dimension is noted when its own rows changed in silver, when a song of it did, or when it is inferred
from sales of these days. Sales are seen as gold has them too: after the facts are replaced nobody could tell which
members the old ones named, so the notes are written before anything is built, and are kept until all of it is done.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from deftunes.adapters.warehouse import Dialect, Session
from deftunes.core import layout
from deftunes.core.entities import Entity
from deftunes.core.interval import Interval, midnight, runs_of
from deftunes.state import bookkeeping

_GOLD = ("dim_artists", "dim_songs", "dim_users", "fact_session")
_SILVER = {entity: f"{layout.DATABASE}.{entity}" for entity in Entity}
_FACTS = f"{layout.SERVING_SCHEMA}.fact_session"
# Which dimension holds the members of a key, under which word they are noted, and which entity knows them.
_MEMBERS = (
    ("track_id", "dim_songs", Entity.SONGS.value, Entity.SONGS),
    ("artist_id", "dim_artists", bookkeeping.ARTISTS, Entity.SONGS),
    ("user_id", "dim_users", Entity.USERS.value, Entity.USERS),
)


@dataclass(frozen=True, slots=True)
class Scope:
    """`everything`: gold is computed anew as a whole. `days` are the UTC days whose facts are replaced."""

    everything: bool
    days: tuple[date, ...]


def note_scope(session: Session, interval: Interval, *, everything: bool) -> Scope:
    """Note all that this run computes again, in the caller's transaction."""
    noted = {unit for (unit,) in session.run(
        f"select distinct unit from {bookkeeping.CHANGED} where entity = %s or unit = %s",
        (Entity.SESSIONS.value, bookkeeping.EVERYTHING),
    )}  # fmt: skip
    asked = {day.isoformat() for day in interval.days()}
    bookkeeping.note(session, Entity.SESSIONS, sorted(asked - noted))
    everything = everything or not _gold_is_there(session)
    if everything and bookkeeping.EVERYTHING not in noted:
        bookkeeping.note(session, Entity.SESSIONS, [bookkeeping.EVERYTHING])
    days = tuple(sorted(date.fromisoformat(unit) for unit in (asked | noted) - {bookkeeping.EVERYTHING}))
    scope = Scope(everything or bookkeeping.EVERYTHING in noted, days)
    if not scope.everything:
        _note_artists_of_changed_songs(session)
        _note_inferred_members(session, days)
    if session.dialect is Dialect.POSTGRES:
        session.run(f"analyze {bookkeeping.CHANGED}")
    return scope


def _gold_is_there(session: Session) -> bool:
    rows = session.run(
        f"select count(*) from information_schema.tables where table_schema = %s and table_name in {_GOLD}",
        (layout.SERVING_SCHEMA,),
    )
    return bool(rows[0][0] == len(_GOLD))


def _note_artists_of_changed_songs(session: Session) -> None:
    """Of the song as it is, and as gold still has it: a song may have changed its artist."""
    for songs in (_SILVER[Entity.SONGS], f"{layout.SERVING_SCHEMA}.dim_songs"):
        session.run(
            f"insert into {bookkeeping.CHANGED} (entity, unit) select distinct '{bookkeeping.ARTISTS}', artist_id "
            f"from {songs} where track_id in (select unit from {bookkeeping.CHANGED} where entity = '{Entity.SONGS}')"
        )


def _note_inferred_members(session: Session, days: Sequence[date]) -> None:
    """Members that no source knows and that a sale of these days names, in silver now or in gold before."""
    runs = runs_of(days)
    dates = [bound for run in runs for bound in (run.start, run.end)]
    instants = [midnight(bound) for bound in dates]
    by_instant = " or ".join(["(session_start_time >= %s and session_start_time < %s)"] * len(runs))
    by_date = " or ".join(["(session_date >= %s and session_date < %s)"] * len(runs))
    for key, dimension, word, entity in _MEMBERS:
        session.run(
            f"insert into {bookkeeping.CHANGED} (entity, unit) select '{word}', sold.{key} "
            f"from (select distinct {key} from {_SILVER[Entity.SESSIONS]} where {by_instant}) as sold "
            f"left join {_SILVER[entity]} as known on sold.{key} = known.{key} where known.{key} is null",
            instants,
        )
        session.run(
            f"insert into {bookkeeping.CHANGED} (entity, unit) select '{word}', sold.{key} "
            f"from (select distinct {key} from {_FACTS} where {by_date}) as sold "
            f"inner join {layout.SERVING_SCHEMA}.{dimension} as held on sold.{key} = held.{key} where held.is_inferred",
            dates,
        )
