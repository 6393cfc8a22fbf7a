"""Users and sessions are a function of seed, day and clock, and look as the API documents them."""

import hashlib
import json
import os
import re
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest

from purchase_api import times
from purchase_api.people import People, write_record
from purchase_api.sales import SETTLED_AFTER, sessions_of, write_session
from purchase_api.tracks import Assortment, invented

START = date(2020, 1, 1)
DAY = date(2020, 1, 15)
PEOPLE = People(1, 300, START)
ASSORTMENT = Assortment(1, invented(1))
LATER = times.midnight(date(2020, 4, 1))
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3}|\.\d{6})?(Z|[+-]\d\d:\d\d)?")


def known(day: date, now: int, per_day: int = 1000) -> dict[str, Any]:
    sessions = (
        json.loads(write_session(session, now), parse_float=Decimal)
        for session in sessions_of(1, day, per_day, PEOPLE, ASSORTMENT)
        if session.known_from <= now
    )
    return {session["session_id"]: session for session in sessions}


SETTLED = known(DAY, LATER)
ITEMS = [item for session in SETTLED.values() for item in session["session_items"]]


def instant(text: str) -> datetime:
    read = datetime.fromisoformat(text)
    return read if read.tzinfo else read.replace(tzinfo=UTC)


def test_another_process_makes_the_same_sessions_and_users() -> None:
    program = """
import hashlib
from datetime import date
from purchase_api import times
from purchase_api.people import People, write_record
from purchase_api.sales import sessions_of, write_session
from purchase_api.tracks import Assortment, invented
people = People(1, 300, date(2020, 1, 1))
now = times.midnight(date(2020, 4, 1))
total = hashlib.sha256()
for session in sessions_of(1, date(2020, 1, 15), 1000, people, Assortment(1, invented(1))):
    total.update(write_session(session, now))
for person in people.listed(now):
    total.update(write_record(person.record(now)))
print(total.hexdigest())
"""
    total = hashlib.sha256()
    # After other days were asked for: no day depends on what was asked before.
    known(DAY + timedelta(days=1), LATER)
    for session in sessions_of(1, DAY, 1000, PEOPLE, ASSORTMENT):
        total.update(write_session(session, LATER))
    for person in PEOPLE.listed(LATER):
        total.update(write_record(person.record(LATER)))
    output = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True, text=True, check=True, env={**os.environ, "PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo"},
    ).stdout  # fmt: skip
    assert output.strip() == total.hexdigest()


def test_a_session_has_the_documented_shape() -> None:
    assert 800 <= len(SETTLED) <= 1200
    for session in SETTLED.values():
        assert list(session) == ["user_id", "session_id", "session_items", "user_agent", "session_start_time"]
        assert UUID.fullmatch(session["user_id"])
        assert UUID.fullmatch(session["session_id"])
        assert INSTANT.fullmatch(session["session_start_time"])
        assert instant(session["session_start_time"]).astimezone(UTC).date() == DAY


def test_an_item_has_the_documented_shape() -> None:
    for item in ITEMS:
        assert list(item) == [
            "song_id", "song_name", "artist_id", "artist_name", "price", "currency", "liked", "liked_since",
        ]  # fmt: skip
        assert len(item["song_id"]) == len(item["artist_id"]) == 18
        assert Decimal("0.49") <= Decimal(item["price"]) <= Decimal("1.99")
        assert Decimal(item["price"]).as_tuple().exponent >= -2
        assert (item["liked_since"] is not None) == item["liked"]
        assert item["liked_since"] is None or INSTANT.fullmatch(item["liked_since"])


def test_what_is_rare_is_there() -> None:
    starts = [session["session_start_time"] for session in SETTLED.values()]
    of_users = {person.user_id for person in PEOPLE.everyone}
    of_tracks = {track.track_id for track in ASSORTMENT.known}
    of_artists = {track.artist_id for track in ASSORTMENT.known}
    assert {item["currency"] for item in ITEMS} == {"USD", "EUR", "GBP"}
    assert any(not session["session_items"] for session in SETTLED.values())
    assert any(one == other for s in SETTLED.values() for one, other in pairwise(s["session_items"]))
    assert any(session["user_id"] not in of_users for session in SETTLED.values())
    assert any(item["song_id"] not in of_tracks for item in ITEMS)
    assert any(item["artist_id"] not in of_artists for item in ITEMS)
    midnight = datetime(2020, 1, 15, tzinfo=UTC)
    assert any(instant(start) == midnight for start in starts)
    assert any(instant(start) == midnight + timedelta(days=1, microseconds=-1) for start in starts)
    prices = set(re.findall(r'"price":([^,]+),', b"".join(written()).decode()))
    assert {"1", "1.0", "1.00", "1.5", "1.50"} <= prices


def written() -> list[bytes]:
    return [write_session(session, LATER) for session in sessions_of(1, DAY, 1000, PEOPLE, ASSORTMENT)]


def test_nothing_is_known_before_it_happens() -> None:
    noon = times.midnight(DAY) + times.DAY // 2
    now = times.moment_of(noon)
    assert known(DAY, times.midnight(DAY) - 1) == {}
    sessions = known(DAY, noon)
    assert 0 < len(sessions) < len(SETTLED)
    for session in sessions.values():
        assert instant(session["session_start_time"]) <= now
        for item in session["session_items"]:
            assert item["liked_since"] is None or instant(item["liked_since"]) <= now


def test_later_clocks_know_more_and_change_nothing_but_likes() -> None:
    clocks = [times.midnight(DAY) + hours * 3600 * times.SECOND for hours in (6, 24, 36, 60, 96, 200)]
    states = [known(DAY, now) for now in clocks]
    liked = 0
    for before, after in pairwise(states):
        assert before.keys() <= after.keys()
        for session_id, session in before.items():
            liked += session != after[session_id]
            for item, same in zip(session["session_items"], after[session_id]["session_items"], strict=True):
                assert {**item, "liked": None, "liked_since": None} == {**same, "liked": None, "liked_since": None}
    assert liked > 0
    assert len(states[3]) > len(states[1])


def test_a_day_is_settled_when_the_look_back_ends() -> None:
    end = times.midnight(DAY) + times.DAY + SETTLED_AFTER
    assert SETTLED_AFTER == 3 * times.DAY
    assert known(DAY, end) == known(DAY, LATER)
    assert known(DAY, end - times.DAY) != known(DAY, LATER)


def test_a_user_has_the_documented_shape() -> None:
    for person in PEOPLE.everyone:
        record = json.loads(write_record(person.record(LATER)))
        assert list(record) == ["user_id", "user_name", "user_lastname", "user_location", "user_since"]
        assert UUID.fullmatch(record["user_id"])
        assert INSTANT.fullmatch(record["user_since"])
        latitude, longitude, place, country, zone = record["user_location"]
        assert -90 <= Decimal(latitude) <= 90
        assert -180 <= Decimal(longitude) <= 180
        assert place
        assert len(country) == 2
        assert "/" in zone


def test_users_join_move_and_rename_as_the_clock_goes_on() -> None:
    opening, later = times.midnight(START), times.midnight(date(2020, 12, 31))
    first, last = PEOPLE.listed(opening), PEOPLE.listed(later)
    assert 0 < len(first) < len(last)
    assert {person.user_id for person in first} < {person.user_id for person in last}
    assert any(person.at(opening).location != person.at(later).location for person in first)
    assert any(person.at(opening).lastname != person.at(later).lastname for person in first)


def test_nobody_is_listed_before_joining() -> None:
    for days in range(0, 400, 50):
        now = times.midnight(START + timedelta(days=days))
        assert all(instant(person.since_text) <= times.moment_of(now) for person in PEOPLE.listed(now))


def test_some_buy_before_they_join() -> None:
    joined = {person.user_id: person.user_since for person in PEOPLE.everyone}
    days = [START + timedelta(days=number) for number in range(90)]
    sessions = [session for day in days for session in sessions_of(1, day, 50, PEOPLE, ASSORTMENT)]
    assert any(session.start < joined.get(session.user_id, 0) for session in sessions)


@pytest.mark.parametrize("count", [1, 2, 50])
def test_the_smallest_shops_have_buyers_every_day(count: int) -> None:
    assert People(3, count, START).buyers(START)
