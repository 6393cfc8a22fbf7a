"""Every kind of bad record breaks the rule it is named after and no other; what only looks bad breaks none.

The rules below are written from the contract, not from the pipeline: both must agree, and share no code.
"""

import json
import re
from collections import Counter
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from purchase_api.bad_records import (
    ALL_KINDS,
    SESSION_KINDS,
    USER_KINDS,
    Addition,
    additions_of_day,
    additions_to_users,
)
from purchase_api.people import People
from purchase_api.tracks import Assortment, invented

START = date(2020, 1, 1)
DAY = date(2020, 1, 15)
PEOPLE = People(1, 50, START)
ASSORTMENT = Assortment(1, invented(1))


def of_kind(kind: str) -> list[Addition]:
    if kind in USER_KINDS:
        return additions_to_users(1, [kind], START)
    return additions_of_day(1, DAY, [kind], PEOPLE, ASSORTMENT)


def read(addition: Addition) -> Any:
    return json.loads(addition.text, parse_float=number)


def number(text: str) -> Decimal | float:
    try:
        return Decimal(text)
    except ArithmeticError:  # an exponent that only a float takes, as infinity
        return float(text)


def is_text(value: object, length: int | None = None) -> bool:
    return isinstance(value, str) and (length is None or len(value) == length)


def is_instant(value: object) -> bool:
    if not isinstance(value, str) or not re.match(r"\d{4}-", value):
        return False
    try:
        return bool(datetime.fromisoformat(value))
    except ValueError:
        return False


def session_faults(record: Any) -> set[str]:
    if not isinstance(record, dict):
        return {"session_not_object"}
    faults = set()
    if not is_text(record.get("session_id"), 36):
        faults.add("session_id")
    if not is_text(record.get("user_id"), 36):
        faults.add("session_user_id")
    if not is_instant(record.get("session_start_time")):
        faults.add("session_start_time")
    if not is_text(record.get("user_agent")):
        faults.add("session_user_agent")
    if not isinstance(record.get("session_items"), list):
        faults.add("session_items")
    return faults


def item_faults(item: Any) -> set[str]:
    if not isinstance(item, dict):
        return {"item"}
    faults = set()
    if not is_text(item.get("song_id"), 18):
        faults.add("item_song_id")
    if not is_text(item.get("artist_id"), 18):
        faults.add("item_artist_id")
    if not is_text(item.get("currency"), 3):
        faults.add("item_currency")
    if not isinstance(item.get("liked"), bool):
        faults.add("item_liked")
    price = item.get("price")
    is_number = isinstance(price, int | Decimal) and not isinstance(price, bool)
    if not is_number or not 0 <= price <= 2 or Decimal(price).as_tuple().exponent < -2:
        faults.add("item_price")
    return faults


def user_faults(record: Any) -> set[str]:
    if not isinstance(record, dict):
        return {"user_not_object"}
    faults = {name for name in ("user_name", "user_lastname") if not is_text(record.get(name))}
    if not is_text(record.get("user_id"), 36):
        faults.add("user_id")
    if not is_instant(record.get("user_since")):
        faults.add("user_since")
    location = record.get("user_location")
    if not isinstance(location, list) or len(location) != 5 or any(abs(float(part)) > 180 for part in location[:2]):
        faults.add("user_location")
    return faults


def test_there_are_kinds_for_both_entities() -> None:
    assert len(set(ALL_KINDS)) == len(SESSION_KINDS) + len(USER_KINDS) == len(ALL_KINDS)
    assert SESSION_KINDS
    assert USER_KINDS


def test_every_rule_is_broken_by_some_kind() -> None:
    broken = set()
    for kind in ALL_KINDS:
        for addition in of_kind(kind):
            record = read(addition)
            broken |= user_faults(record) if kind in USER_KINDS else session_faults(record)
            if addition.item_number:
                broken |= item_faults(record["session_items"][addition.item_number - 1])
    assert broken == {
        "session_not_object", "session_id", "session_user_id", "session_start_time", "session_user_agent",
        "session_items", "item", "item_song_id", "item_artist_id", "item_currency", "item_liked", "item_price",
        "user_not_object", "user_id", "user_name", "user_lastname", "user_since", "user_location",
    }  # fmt: skip


@pytest.mark.parametrize("kind", [kind for kind in SESSION_KINDS if "duplicate" not in kind])
def test_a_kind_of_session_breaks_its_rule_and_no_other(kind: str) -> None:
    (addition,) = of_kind(kind)
    record = read(addition)
    faults = session_faults(record)
    items = (
        record["session_items"] if isinstance(record, dict) and isinstance(record.get("session_items"), list) else []
    )
    bad = {number: item_faults(item) for number, item in enumerate(items, 1) if item_faults(item)}
    if kind.startswith("good_"):
        assert (faults, bad, addition.rejected) == (set(), {}, 0)
    elif kind.startswith("item_"):
        assert (faults, list(bad), addition.rejected) == (set(), [addition.item_number], 1)
        (rules,) = bad.values()
        assert len(rules) == 1
        assert all(kind.startswith(rule) for rule in rules)
    else:
        assert (len(faults), bad, addition.rejected) == (1, {}, 1)
        assert all(kind.startswith(rule) for rule in faults)
    assert addition.placed == (isinstance(record, dict) and "session_start_time" not in faults)


@pytest.mark.parametrize("kind", [kind for kind in USER_KINDS if "duplicate" not in kind])
def test_a_kind_of_user_breaks_its_rule_and_no_other(kind: str) -> None:
    (addition,) = of_kind(kind)
    faults = user_faults(read(addition))
    assert len(faults) == addition.rejected == (0 if kind.startswith("good_") else 1)
    assert all(kind.startswith(rule) for rule in faults)


@pytest.mark.parametrize("kind", ["session_id_duplicate", "user_id_duplicate"])
def test_two_records_under_one_key_are_both_rejected(kind: str) -> None:
    one, other = of_kind(kind)
    key = "user_id" if kind in USER_KINDS else "session_id"
    assert read(one)[key] == read(other)[key]
    assert one.text != other.text
    assert one.rejected == other.rejected == 1


@pytest.mark.parametrize("kind", ["good_identical_duplicate", "good_user_identical_duplicate"])
def test_the_same_record_twice_is_not_bad(kind: str) -> None:
    one, other = of_kind(kind)
    assert one.text == other.text
    assert one.rejected == other.rejected == 0


@pytest.mark.parametrize("kind", SESSION_KINDS)
def test_what_counts_as_sold_is_what_the_records_say(kind: str) -> None:
    counted: Counter[str] = Counter()
    sold: Counter[str] = Counter()
    seen = set()
    for addition in of_kind(kind):
        counted.update({item.currency: item.cents for item in addition.items})
        counted.update({item.currency: 0 for item in addition.items})
        record = read(addition)
        if addition.text in seen or kind == "session_id_duplicate" or session_faults(record):
            continue
        seen.add(addition.text)
        for item in record["session_items"]:
            if not item_faults(item):
                sold[item["currency"]] += int(Decimal(item["price"]) * 100)
    total = sum(item.cents for addition in of_kind(kind) for item in addition.items)
    assert sold.total() == total
    assert set(sold) == set(counted)


@pytest.mark.parametrize("kind", [kind for kind in SESSION_KINDS if kind != "session_not_object_null"])
def test_another_day_has_other_records_of_the_same_kind(kind: str) -> None:
    other = additions_of_day(1, date(2020, 1, 16), [kind], PEOPLE, ASSORTMENT)
    assert {addition.text for addition in of_kind(kind)}.isdisjoint(addition.text for addition in other)


def test_records_that_have_a_time_belong_to_their_day() -> None:
    for kind in SESSION_KINDS:
        for addition in of_kind(kind):
            if addition.placed:
                read_time = datetime.fromisoformat(read(addition)["session_start_time"])
                assert read_time.astimezone(UTC).date() == DAY
