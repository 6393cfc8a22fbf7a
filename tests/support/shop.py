"""A shop whose users and sessions a test sets one by one, behind the Purchase API's two addresses."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from email.utils import format_datetime
from typing import Any

from support.api import Reply, json_reply, stub_api
from support.ids import artist_id, session_id, track_id, user_id

Json = dict[str, Any]


@dataclass
class Shop:
    """What the API says at `now`. `broken` stands in for its next answers about sessions."""

    url: str = ""
    now: datetime = datetime(2020, 6, 1, tzinfo=UTC)
    users: dict[int, Json] = field(default_factory=dict)
    sessions: dict[int, Json] = field(default_factory=dict)
    broken: Reply | None = None

    def later(self, **by: float) -> None:
        """Move the clock on: an hour, or what is said."""
        self.now += timedelta(**(by or {"hours": 1}))

    def upsert_user(self, number: int, **changes: object) -> Json:
        """Add or change a user."""
        known = self.users.get(number) or {
            "user_id": user_id(number),
            "user_name": f"Name {number}",
            "user_lastname": "Lastname",
            "user_location": ["48.85341", "2.3488", "Paris", "FR", "Europe/Paris"],
            "user_since": "2019-05-01T12:00:00Z",
        }
        self.users[number] = {**known, **changes}
        return self.users[number]

    def sell(self, number: int, at: str, *prices: float, **changes: object) -> Json:
        """Add or change a session with an item for each price."""
        self.sessions[number] = {
            "user_id": user_id(1),
            "session_id": session_id(number),
            "session_items": [
                {
                    "song_id": track_id(place),
                    "song_name": f"Song {place}",
                    "artist_id": artist_id(place),
                    "artist_name": f"Artist {place}",
                    "price": price,
                    "currency": "EUR",
                    "liked": False,
                    "liked_since": None,
                }
                for place, price in enumerate(prices, 1)
            ],
            "user_agent": "a test",
            "session_start_time": at,
            **changes,
        }
        return self.sessions[number]

    def answer(self, path: str, query: dict[str, str]) -> Reply:
        """The reply to a request; `end_date` is included."""
        sent_at = format_datetime(self.now, usegmt=True)
        if path == "/users":
            return json_reply(*self.users.values(), date=sent_at)
        if self.broken:
            return self.broken
        start, end = date.fromisoformat(query["start_date"]), date.fromisoformat(query["end_date"])
        asked = [
            session
            for session in self.sessions.values()
            if start <= date.fromisoformat(session["session_start_time"][:10]) <= end
        ]
        return json_reply(*asked, date=sent_at)


@contextmanager
def open_shop() -> Iterator[Shop]:
    """A shop for the length of the context."""
    with stub_api() as stub:
        shop = Shop(stub.url)
        stub.otherwise = shop.answer
        yield shop
