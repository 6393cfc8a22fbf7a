"""Records that break one rule each, and records that only look as if they did. They come beside the good ones.

Every kind is a function of seed, day and kind. What a kind adds to the shop's own sum (`items`) and how many rows
quarantine is to hold for it (`rejected`) stand beside its record, so that a test can compare to the cent.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from random import Random
from typing import Any

from purchase_api import times
from purchase_api.people import People, make_uuid
from purchase_api.tracks import Assortment

JsonObject = dict[str, Any]
SESSIONS, USERS = "sessions", "users"


@dataclass(frozen=True, slots=True)
class GoodItem:
    """A sale that counts although it came beside something bad."""

    cents: int
    currency: str
    artist_id: str


@dataclass(frozen=True, slots=True)
class Addition:
    """One record, as sent. `rejected`: rows it brings to quarantine; `sessions`, `items`: what of it is good.

    `placed`: its own time names the day; otherwise it only comes with that day's answer.
    `item_number`: the item that is rejected, where it is not the whole record.
    """

    entity: str
    kind: str
    text: bytes
    rejected: int
    day: date | None = None
    placed: bool = True
    item_number: int | None = None
    sessions: int = 0
    items: tuple[GoodItem, ...] = ()
    user_id: str | None = None

    def to_json(self) -> JsonObject:
        """For `/simulator/truth`."""
        return {
            "entity": self.entity,
            "kind": self.kind,
            "record": self.text.decode(),
            "rejected": self.rejected,
            "day": self.day and self.day.isoformat(),
            "placed": self.placed,
            "item_number": self.item_number,
        }


class _Raw:
    """A piece of JSON to be sent exactly as it is written here."""

    def __init__(self, text: str) -> None:
        self.text = text


_MISSING = object()

# What becomes of a good session. A value is what the field is set to.
_SESSION_FIELDS: dict[str, JsonObject] = {
    "session_id_missing": {"session_id": _MISSING},
    "session_id_null": {"session_id": None},
    "session_id_short": {"session_id": "0b0e7f9a-52f1-4e0c-9d6a-3f2f2f5e0b1"},
    "session_id_long": {"session_id": "0b0e7f9a-52f1-4e0c-9d6a-3f2f2f5e0b1cc"},
    "session_id_empty": {"session_id": ""},
    "session_id_number": {"session_id": 4711},
    "session_user_id_missing": {"user_id": _MISSING},
    "session_user_id_null": {"user_id": None},
    "session_user_id_short": {"user_id": "8a1c6c3e-7d1f-4a55-8b1e-5a0d6b0f4c1"},
    "session_user_id_number": {"user_id": 17},
    "session_user_id_object": {"user_id": {"id": "8a1c6c3e-7d1f-4a55-8b1e-5a0d6b0f4c1c"}},
    "session_items_missing": {"session_items": _MISSING},
    "session_items_null": {"session_items": None},
    "session_items_object": {"session_items": {"song_id": "TRAAAAW128F429D538", "price": 0.99}},
    "session_items_string": {"session_items": "[]"},
    "session_items_number": {"session_items": 0},
    "session_user_agent_number": {"user_agent": 5},
    "session_user_agent_beyond_decimal": {"user_agent": _Raw("1e99999999999999999999")},
}
_UNPLACED_FIELDS: dict[str, JsonObject] = {
    "session_start_time_missing": {"session_start_time": _MISSING},
    "session_start_time_null": {"session_start_time": None},
    "session_start_time_empty": {"session_start_time": ""},
    "session_start_time_words": {"session_start_time": "yesterday, at noon"},
    "session_start_time_impossible": {"session_start_time": "2020-02-30T12:00:00"},
    "session_start_time_hour_24": {"session_start_time": "2020-01-15T24:30:00Z"},
    "session_start_time_number": {"session_start_time": 1579089600},
}
# The second of two items.
_ITEM_FIELDS: dict[str, JsonObject] = {
    "item_song_id_missing": {"song_id": _MISSING},
    "item_song_id_null": {"song_id": None},
    "item_song_id_short": {"song_id": "TRAAAAW128F429D53"},
    "item_song_id_long": {"song_id": "TRAAAAW128F429D5388"},
    "item_song_id_number": {"song_id": 128},
    "item_artist_id_missing": {"artist_id": _MISSING},
    "item_artist_id_null": {"artist_id": None},
    "item_currency_missing": {"currency": _MISSING},
    "item_currency_null": {"currency": None},
    "item_price_missing": {"price": _MISSING},
    "item_price_null": {"price": None},
    "item_price_string": {"price": "0.99"},
    "item_price_boolean": {"price": True},
    "item_price_negative": {"price": _Raw("-0.01")},
    "item_price_above": {"price": _Raw("2.01")},
    "item_price_three_decimals": {"price": _Raw("0.999")},
    "item_price_just_above": {"price": _Raw("2.001")},
    "item_price_huge": {"price": _Raw("99999999999999999999.99")},
    "item_price_beyond_double": {"price": _Raw("1e999")},
    "item_price_beyond_context": {"price": _Raw("1E999999999")},
    "item_liked_string": {"liked": "yes"},
}
_ITEM_VALUES: dict[str, object] = {"item_null": None, "item_number": 99, "item_array": ["TRAAAAW128F429D538", 0.99]}
# Both items count.
_GOOD_ITEM_FIELDS: dict[str, tuple[JsonObject, int]] = {
    "good_price_two": ({"price": _Raw("2.00")}, 200),
    "good_price_zero": ({"price": _Raw("0")}, 0),
    "good_empty_song_name": ({"song_name": ""}, 99),
    "good_item_extra_fields": ({"campaign": {"name": "summer", "tags": ["a", None]}, "discount": _Raw("0.10")}, 99),
}
_USER_FIELDS: dict[str, JsonObject] = {
    "user_id_missing": {"user_id": _MISSING},
    "user_id_null": {"user_id": None},
    "user_id_short": {"user_id": "8a1c6c3e-7d1f-4a55-8b1e-5a0d6b0f4c1"},
    "user_id_long": {"user_id": "8a1c6c3e-7d1f-4a55-8b1e-5a0d6b0f4c1cc"},
    "user_id_number": {"user_id": 17},
    "user_name_missing": {"user_name": _MISSING},
    "user_name_null": {"user_name": None},
    "user_name_number": {"user_name": 7},
    "user_lastname_missing": {"user_lastname": _MISSING},
    "user_lastname_null": {"user_lastname": None},
    "user_since_missing": {"user_since": _MISSING},
    "user_since_null": {"user_since": None},
    "user_since_words": {"user_since": "long ago"},
    "user_location_missing": {"user_location": _MISSING},
    "user_location_null": {"user_location": None},
    "user_location_empty": {"user_location": []},
    "user_location_four": {"user_location": ["48.85341", "2.3488", "Paris", "FR"]},
    "user_location_six": {"user_location": ["48.85341", "2.3488", "Paris", "FR", "Europe/Paris", "75"]},
    "user_location_string": {"user_location": "Paris, FR"},
    "user_location_beyond_decimal": {"user_location": ["1e9999999", "2.3488", "Paris", "FR", "Europe/Paris"]},
    "user_location_rounds_up": {"user_location": ["999.9999999999", "2.3488", "Paris", "FR", "Europe/Paris"]},
}


def additions_of_day(
    seed: int, day: date, kinds: Iterable[str], people: People, assortment: Assortment
) -> list[Addition]:
    """What these kinds add to a day's sessions."""
    added = []
    for kind in kinds:
        if kind in SESSION_KINDS:
            added += _session_additions(_Builder(seed, kind, day, people, assortment))
    return added


def additions_to_users(seed: int, kinds: Iterable[str], since: date) -> list[Addition]:
    """What these kinds add to the list of users, from the day the shop opens on."""
    added = []
    for kind in kinds:
        if kind in USER_KINDS:
            added += _user_additions(seed, kind, since)
    return added


class _Builder:
    """A good session of two sales at 0.99, and the additions made of it."""

    def __init__(self, seed: int, kind: str, day: date, people: People, assortment: Assortment) -> None:
        rng = Random(f"{seed}/bad/{kind}/{day.isoformat()}")
        self.kind = kind
        self.day = day
        buyers = people.buyers(day)
        self.user_id = rng.choice(buyers).user_id if buyers else people.strangers[0]
        tracks = [rng.choice(assortment.known) for _ in range(2)]
        self.good = tuple(GoodItem(99, "USD", track.artist_id) for track in tracks)
        self.session: JsonObject = {
            "user_id": self.user_id,
            "session_id": make_uuid(rng),
            "session_items": [
                {
                    "song_id": track.track_id,
                    "song_name": track.title,
                    "artist_id": track.artist_id,
                    "artist_name": track.artist_name,
                    "price": _Raw("0.99"),
                    "currency": "USD",
                    "liked": False,
                    "liked_since": None,
                }
                for track in tracks
            ],
            "user_agent": f"DeFtunes/0.0 ({kind}; {day.isoformat()})",
            "session_start_time": times.write(times.midnight(day) + rng.randrange(times.DAY), 3),
        }

    def whole(self, record: object, *, placed: bool = True, rejected: int = 1) -> Addition:
        """A record that is rejected whole."""
        return Addition(SESSIONS, self.kind, _write(record), rejected, self.day, placed)

    def partly(self, second: object) -> Addition:
        """A session whose first item counts and whose second is rejected."""
        record = {**self.session, "session_items": [self.session["session_items"][0], second]}
        return Addition(
            SESSIONS, self.kind, _write(record), 1, self.day,
            item_number=2, sessions=1, items=self.good[:1], user_id=self.user_id,
        )  # fmt: skip

    def accepted(self, record: object, second_cents: int = 99) -> Addition:
        """A session that counts whole."""
        items = (self.good[0], GoodItem(second_cents, "USD", self.good[1].artist_id))
        return Addition(SESSIONS, self.kind, _write(record), 0, self.day, sessions=1, items=items, user_id=self.user_id)

    def repeated(self) -> Addition:
        """The record once more: counted already."""
        return Addition(SESSIONS, self.kind, _write(self.session), 0, self.day)


def _session_additions(builder: _Builder) -> list[Addition]:
    kind, session = builder.kind, builder.session
    first, second = session["session_items"]
    if kind in _SESSION_FIELDS:
        return [builder.whole(_changed(session, _SESSION_FIELDS[kind]))]
    if kind in _UNPLACED_FIELDS:
        return [builder.whole(_changed(session, _UNPLACED_FIELDS[kind]), placed=False)]
    if kind in _ITEM_FIELDS:
        return [builder.partly(_changed(second, _ITEM_FIELDS[kind]))]
    if kind in _ITEM_VALUES:
        return [builder.partly(_ITEM_VALUES[kind])]
    if kind in _GOOD_ITEM_FIELDS:
        changes, cents = _GOOD_ITEM_FIELDS[kind]
        return [builder.accepted({**session, "session_items": [first, _changed(second, changes)]}, cents)]
    return _SPECIAL[kind](builder)


def _spread(record: JsonObject) -> _Raw:
    """The same record with line ends and blanks between its members, as a server with pretty printing sends it."""
    return _Raw(_text(record).replace(',"session', ',\n\t"session').replace('":', '" : '))


_SPECIAL: dict[str, Callable[[_Builder], list[Addition]]] = {
    # Not objects: they have no time, so they come with a day's answer and belong to no day.
    "session_not_object_number": lambda it: [it.whole(int(it.day.strftime("%Y%m%d")), placed=False)],
    "session_not_object_string": lambda it: [it.whole(f"lost on {it.day.isoformat()}", placed=False)],
    "session_not_object_array": lambda it: [it.whole([it.day.isoformat()], placed=False)],
    "session_not_object_null": lambda it: [it.whole(None, placed=False)],
    "session_id_duplicate": lambda it: [
        it.whole(it.session),
        it.whole({**it.session, "user_agent": f"{it.session['user_agent']} again"}),
    ],
    "good_identical_duplicate": lambda it: [it.accepted(it.session), it.repeated()],
    "good_session_extra_fields": lambda it: [it.accepted({**it.session, "schema_version": 2, "geo": {"ip": None}})],
    "good_session_over_lines": lambda it: [it.accepted(_spread(it.session))],
    # Raw line separators of Unicode, and a character as a pair of escapes.
    "good_session_strange_agent": lambda it: [
        it.accepted({**it.session, "user_agent": _Raw('"a\u2028b\u0085c\\ud83c\\udfb8\\/\\b"')})
    ],
}


SESSION_KINDS = (
    *_SESSION_FIELDS, *_UNPLACED_FIELDS, *_ITEM_FIELDS, *_ITEM_VALUES, *_GOOD_ITEM_FIELDS, *_SPECIAL,
)  # fmt: skip
USER_KINDS = (
    *_USER_FIELDS, "user_not_object_number", "user_not_object_string", "user_id_duplicate",
    "good_user_identical_duplicate", "good_user_extra_fields",
)  # fmt: skip
ALL_KINDS = (*SESSION_KINDS, *USER_KINDS)


def _user_additions(seed: int, kind: str, since: date) -> list[Addition]:
    rng = Random(f"{seed}/bad/{kind}")
    user: JsonObject = {
        "user_id": make_uuid(rng),
        "user_name": "Bad" if not kind.startswith("good") else "Good",
        "user_lastname": kind,
        "user_location": ["48.85341", "2.3488", "Paris", "FR", "Europe/Paris"],
        "user_since": times.write(times.midnight(since) - times.DAY + rng.randrange(times.DAY), 3),
    }

    def addition(record: object, rejected: int = 1) -> Addition:
        return Addition(USERS, kind, _write(record), rejected)

    if kind in _USER_FIELDS:
        return [addition(_changed(user, _USER_FIELDS[kind]))]
    return {
        "user_not_object_number": [addition(20200101)],
        "user_not_object_string": [addition("a user")],
        "user_id_duplicate": [addition(user), addition({**user, "user_name": "Twin"})],
        "good_user_identical_duplicate": [addition(user, 0), addition(user, 0)],
        "good_user_extra_fields": [addition({**user, "newsletter": True, "tags": [{"x": 1}]}, 0)],
    }[kind]


def _changed(record: Mapping[str, object], changes: JsonObject) -> JsonObject:
    return {name: value for name, value in {**record, **changes}.items() if value is not _MISSING}


def _write(value: object) -> bytes:
    return _text(value).encode()


def _text(value: object) -> str:
    # json writes no number as one wants it, and a price is only bad in the way it is written.
    if isinstance(value, _Raw):
        return value.text
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(name)}:{_text(member)}" for name, member in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(_text(member) for member in value) + "]"
    return json.dumps(value, ensure_ascii=False)
