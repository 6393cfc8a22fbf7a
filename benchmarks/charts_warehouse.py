"""A PostgreSQL warehouse with any number of facts: silver by `generate_series`, gold and BI views by `model` itself.

The shop is the simulator's, enlarged: as many buyers, days and items a session as `Shop` says, three currencies of
unequal share, hits that sell more than the rest, users with versions, and buyers whom no source knows. A function of
its numbers: the same facts in every run.
"""

import json
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import psycopg2

from deftunes.adapters.warehouse import Warehouse
from deftunes.core import layout
from deftunes.core.entities import Entity
from deftunes.core.interval import Interval
from deftunes.core.settings import REPOSITORY
from deftunes.load.postgres import create_tables
from deftunes.load.tables import index_statements
from deftunes.model.stage import model
from deftunes.state import bookkeeping

FIRST_DAY = date(2020, 1, 1)
# Thirteen items are ten sessions: seven of one item, three of two.
_ITEMS, _SESSIONS = 13, 10
# From 0 to 1, of a number: each use has a seed of its own.
_CHANCE = "((hashint8extended({of}, {seed}) & 1048575) / 1048576.0)"
_SONGS = """
insert into deftunes_transform.songs (track_id, title, song_id, release, artist_id, artist_name, year, is_deleted)
select 'TR' || upper(substr(md5('t' || n), 1, 16)), 'Song ' || n, 'SO' || upper(substr(md5('s' || n), 1, 16)),
       'Album ' || n / 10, 'AR' || upper(substr(md5('a' || n / 3), 1, 16)), 'Artist ' || n / 3,
       case when n % 3 = 0 then 0 else 1950 + n % 71 end, false
from generate_series(0, {songs} - 1) as n
"""
# Two of five users have moved once. Countries are 250 pairs of letters, not all of them on the map.
_USERS = """
insert into deftunes_transform.users
       (user_id, effective_from, user_name, user_lastname, place_name, country_code, timezone, user_since)
select md5('u' || n)::uuid::text, timestamptz '2020-01-01 00:00:00+00' + version * interval '200 days',
       'First ' || n % 40, 'Last ' || n % 38, 'Place ' || country, chr(65 + country / 26) || chr(65 + country % 26),
       'UTC', timestamptz '2019-01-01 00:00:00+00' + (n % 365) * interval '1 day'
from generate_series(0, {buyers} - 1) as n
cross join generate_series(0, 1) as version
cross join lateral (select (n * 7 + version * 31) % 250 as country) as home
where version = 0 or n % 5 < 2
"""
_SALES = """
insert into deftunes_transform.sessions
       (session_id, item_number, user_id, track_id, song_name, artist_id, artist_name, price, currency, liked,
        liked_since, user_agent, session_start_time)
select md5('v' || session)::uuid::text, place, md5('u' || floor({buyer} * {buyers} * 1.005)::bigint)::uuid::text,
       'TR' || upper(substr(md5('t' || song), 1, 16)), 'Song ' || song,
       'AR' || upper(substr(md5('a' || song / 3), 1, 16)), 'Artist ' || song / 3,
       (array[0.49, 0.69, 0.79, 0.89, 0.99, 0.99, 1.00, 1.09, 1.29, 1.99])[1 + floor({price} * 10)::integer],
       case when {currency} < 0.65 then 'USD' when {currency} < 0.9 then 'EUR' else 'GBP' end,
       {liked} < 0.25, case when {liked} < 0.25 then begun end, 'DeFtunes/4.2 (iPhone; iOS 13.3)', begun
from generate_series({first}::bigint, {last}::bigint) as n
cross join lateral (
    select n / {items} * {sessions} + n % {items} % {sessions} as session, 1 + n % {items} / {sessions} as place
) as visit
cross join lateral (
    select floor({songs} * {hit} * {hits})::bigint as song,
           timestamptz '2020-01-01 00:00:00+00' + (session / {a_day}) * interval '1 day'
           + floor({moment} * 86400) * interval '1 second' as begun
) as sale
"""


@dataclass(frozen=True, slots=True)
class Shop:
    """How much was sold to how many."""

    facts: int
    days: int = 1_000
    buyers: int = 100_000
    songs: int = 10_000

    @property
    def sessions_a_day(self) -> int:
        """The same on each day."""
        return max(1, self.facts * _SESSIONS // _ITEMS // self.days)

    def sales(self, first: int, last: int) -> str:
        """The statement that sells the items of these numbers."""
        visit = {"buyer": 1, "currency": 2, "moment": 3}
        item = {"price": 4, "liked": 5, "hit": 6, "hits": 7}
        chances = {name: _CHANCE.format(of="session", seed=seed) for name, seed in visit.items()}
        chances |= {name: _CHANCE.format(of="n", seed=seed) for name, seed in item.items()}
        return _SALES.format(
            first=first, last=last, buyers=self.buyers, songs=self.songs, a_day=self.sessions_a_day, items=_ITEMS,
            sessions=_SESSIONS, **chances,
        )  # fmt: skip

    @property
    def next_day(self) -> Interval:
        """The day after the facts."""
        day = FIRST_DAY + timedelta(days=self.facts * _SESSIONS // _ITEMS // self.sessions_a_day + 1)
        return Interval(day, day + timedelta(days=1))


@contextmanager
def cursor_of(dsn: str) -> Iterator["psycopg2.extensions.cursor"]:
    """A cursor in autocommit mode."""
    with closing(psycopg2.connect(dsn)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            yield cursor


def fill(dsn: str, warehouse: Warehouse, shop: Shop) -> None:
    """Fill an empty silver, as a first `load` leaves it."""
    with warehouse.hold(exclusive=True) as connection:
        bookkeeping.create_tables(connection)
        create_tables(connection)
    with cursor_of(dsn) as cursor:
        cursor.execute(_SONGS.format(songs=shop.songs))
        cursor.execute(_USERS.format(buyers=shop.buyers))
        cursor.execute(shop.sales(0, shop.facts - 1))
        for entity in Entity:
            for statement in index_statements(entity).values():
                cursor.execute(statement)
            cursor.execute(f"vacuum analyze {layout.DATABASE}.{entity}")


def sell_another_day(dsn: str, shop: Shop, ahead: int = 0) -> Interval:
    """Add a day to silver, as a daily `load` does: the one so many days ahead of the next; the day."""
    begin = shop.next_day.start + timedelta(days=ahead)
    first = (begin - FIRST_DAY).days * shop.sessions_a_day // _SESSIONS * _ITEMS
    with cursor_of(dsn) as cursor:
        cursor.execute(shop.sales(first, first + shop.sessions_a_day * _ITEMS // _SESSIONS - 1))
    return Interval(begin, begin + timedelta(days=1))


def build(warehouse: Warehouse, interval: Interval, work: Path) -> dict[str, float]:
    """Run `model`; seconds by dbt model, and `model` for all of it."""
    began = time.perf_counter()
    model(warehouse, interval, project=REPOSITORY / "dbt_modeling", work=work)
    taken = {"model": time.perf_counter() - began}
    results = json.loads((work / "target" / "run_results.json").read_text("utf-8"))["results"]
    for result in results:
        kind, _, name = result["unique_id"].partition(".deftunes.")
        if kind == "model":
            taken[name] = result["execution_time"]
    return taken
