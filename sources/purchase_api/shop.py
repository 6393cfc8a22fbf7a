"""The whole of a shop: what the API says on a day at an instant, ready to send, and the shop's own sums.

    (seed, day, clock, switches) -> records

Rendered days are kept while there is room: a day that is settled reads the same at every later instant.
"""

import asyncio
import threading
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from random import Random

from purchase_api import times
from purchase_api.bad_records import Addition, additions_of_day, additions_to_users
from purchase_api.people import People, Person, write_record
from purchase_api.sales import SETTLED_AFTER, Session, sessions_of, write_session
from purchase_api.state import State
from purchase_api.tracks import Assortment, Track

Records = list[bytes]
_ONE_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Plan:
    """What makes one shop another."""

    seed: int
    users: int
    sessions_per_day: int
    start: date


class Shop:
    """Answers for a plan and what `stock` brings, under the switches of `state`."""

    def __init__(self, plan: Plan, stock: Callable[[], Sequence[Track]], state: State, cache_bytes: int) -> None:
        self.plan = plan
        self.state = state
        self._stock = stock
        self._stocking = threading.Lock()
        self._assortment: Assortment | None = None
        self._people = People(plan.seed, plan.users, plan.start)
        self._cache = _Cache(cache_bytes)

    async def open(self) -> None:
        """Stock up before the first sale: the catalogue may be filled after the simulator starts.

        Raises:
            SimulatorError: there is no catalogue yet.

        """
        if self._assortment is None:
            await asyncio.to_thread(self._stocked)

    async def sessions(self, day: date, now: int) -> Records:
        """The records of a day that are known at `now`, in no order."""
        if day < self.plan.start or times.midnight(day) > now:
            return []
        settled = min(now, times.midnight(day) + times.DAY + SETTLED_AFTER)
        return await self._cache.get((day, settled, self.state.version), lambda: self._render_day(day, settled))

    async def users(self, now: int) -> Records:
        """The records of all users known at `now`, in no order."""
        return await self._cache.get((None, now, self.state.version), lambda: self._render_users(now))

    def listed(self, now: int) -> list[Person]:
        """Whom /users lists at `now`."""
        return self._people.listed(now)

    def truth(self, start: date, end: date, now: int) -> dict[str, object]:
        """The shop's own sums over the UTC days `[start, end)` as known at `now`, and all that is bad in them.

        Cents are exact; a country is where /users says at `now` that the buyer lives.
        """
        sums = _Sums({person.user_id: person.at(now).location[3] for person in self._people.listed(now)})
        additions: dict[tuple[str, bytes, int | None], Addition] = {}
        day = max(start, self.plan.start)
        while day < end and times.midnight(day) <= now:
            for session in self._sessions(day):
                if session.known_from <= now:
                    sums.sessions += 1
                    for item in session.items:
                        sums.add(day, item.track.artist_id, item.currency, session.user_id, item.cents)
            for addition in self._additions(day):
                sums.sessions += addition.sessions
                for good in addition.items:
                    sums.add(day, good.artist_id, good.currency, addition.user_id, good.cents)
                additions.setdefault((addition.entity, addition.text, addition.item_number), addition)
            day += _ONE_DAY
        for addition in self._user_additions():
            additions.setdefault((addition.entity, addition.text, addition.item_number), addition)
        return {
            **sums.to_json(),
            "users": len(self._people.listed(now))
            + sum(not added.rejected for added in additions.values() if added.entity == "users"),
            "bad": [addition.to_json() for addition in additions.values() if addition.rejected],
            "odd": [addition.to_json() for addition in additions.values() if not addition.rejected],
        }

    def _render_day(self, day: date, now: int) -> Records:
        records = [write_session(session, now) for session in self._sessions(day) if session.known_from <= now]
        records += [addition.text for addition in self._additions(day)]
        Random(f"{self.plan.seed}/order/{day.isoformat()}/{self.state.behaviour.shuffle}").shuffle(records)
        return records

    def _render_users(self, now: int) -> Records:
        records = [write_record(person.record(now)) for person in self._people.listed(now)]
        records += [addition.text for addition in self._user_additions()]
        Random(f"{self.plan.seed}/order/users/{self.state.behaviour.shuffle}").shuffle(records)
        return records

    def _stocked(self) -> Assortment:
        with self._stocking:
            if self._assortment is None:
                self._assortment = Assortment(self.plan.seed, self._stock())
            return self._assortment

    def _sessions(self, day: date) -> Iterator[Session]:
        return sessions_of(self.plan.seed, day, self.plan.sessions_per_day, self._people, self._stocked())

    def _additions(self, day: date) -> list[Addition]:
        kinds = self.state.bad_records.on(day)
        return additions_of_day(self.plan.seed, day, kinds, self._people, self._stocked())

    def _user_additions(self) -> list[Addition]:
        return additions_to_users(self.plan.seed, self.state.bad_records.names, self.plan.start)


class _Sums:
    """What was sold, in cents."""

    def __init__(self, countries: dict[str, str]) -> None:
        self._countries = countries
        self.sessions = 0
        self.items = 0
        self._revenue: Counter[str] = Counter()
        self._artists: Counter[tuple[int, str, str]] = Counter()
        self._lands: Counter[tuple[int, int, str | None, str]] = Counter()

    def add(self, day: date, artist_id: str, currency: str, user_id: str | None, cents: int) -> None:
        self.items += 1
        self._revenue[currency] += cents
        self._artists[day.year, artist_id, currency] += cents
        self._lands[day.year, day.month, self._countries.get(user_id or ""), currency] += cents

    def to_json(self) -> dict[str, object]:
        return {
            "sessions": self.sessions,
            "items": self.items,
            "revenue": {currency: _money(cents) for currency, cents in sorted(self._revenue.items())},
            "sales_per_artist": [
                {"session_year": year, "artist_id": artist_id, "currency": currency, "total_sales": _money(cents)}
                for (year, artist_id, currency), cents in sorted(self._artists.items())
            ],
            "sales_per_country": [
                {
                    "session_year": year,
                    "session_month": month,
                    "country_code": country,
                    "currency": currency,
                    "total_sales": _money(cents),
                }
                for (year, month, country, currency), cents in sorted(
                    self._lands.items(), key=lambda sale: (sale[0][0], sale[0][1], sale[0][2] or "", sale[0][3])
                )
            ],
        }


class _Cache:
    """Rendered records up to a number of bytes; what is being rendered is waited for, not rendered twice."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._size = 0
        self._kept: OrderedDict[object, Records] = OrderedDict()
        self._pending: dict[object, asyncio.Task[Records]] = {}

    async def get(self, key: object, render: Callable[[], Records]) -> Records:
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        task = self._pending.get(key)
        if task is None:
            task = self._pending[key] = asyncio.create_task(self._render(key, render))
        # A client that goes away must not take the answer from those who wait for the same.
        return await asyncio.shield(task)

    async def _render(self, key: object, render: Callable[[], Records]) -> Records:
        try:
            records = await asyncio.to_thread(render)
        finally:
            del self._pending[key]
        self._kept[key] = records
        self._size += _weight(records)
        while self._size > self._limit and len(self._kept) > 1:
            self._size -= _weight(self._kept.popitem(last=False)[1])
        return records


def _weight(records: Records) -> int:
    return sum(map(len, records)) + 64 * len(records)


def _money(cents: int) -> str:
    return f"{cents // 100}.{cents % 100:02}"
