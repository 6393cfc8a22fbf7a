"""Conforming types what it can and never fails on a record, whatever comes; single records are in tests/cases."""

import json
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deftunes.core.interval import read_instant
from deftunes.transform.conform import (
    ITEM_FIELDS,
    SESSION_FIELDS,
    USER_FIELDS,
    conform_session,
    conform_user,
    item_records,
    session_rows,
)

ITEM = {
    "song_id": "TRAAAAA128F4222AED", "song_name": "Émile", "artist_id": "ARAAAAA1187B98BFB3", "artist_name": "Ø",
    "price": 1.1, "currency": "USD", "liked": True, "liked_since": "2020-01-02T10:00:00Z",
}  # fmt: skip
SESSION = {
    "user_id": "u" * 36, "session_id": "s" * 36, "session_items": [ITEM], "user_agent": "Mozilla",
    "session_start_time": "2020-01-01T23:59:59.999999+01:00",
}  # fmt: skip

USER = {
    "user_id": "u" * 36, "user_name": "Ada", "user_lastname": "L", "user_since": "2020-01-02T10:00:00Z",
    "user_location": ["52.4", "0.26", "Ely", "GB", "Europe/London"],
}  # fmt: skip


def session(price_text: str | None = None, **changes: Any) -> str:
    text = json.dumps({**SESSION, **changes})
    return text.replace('"price": 1.1', f'"price": {price_text}') if price_text else text


@given(st.decimals(min_value=0, max_value=10**9, places=4))
def test_a_price_is_accepted_exactly_when_it_is_whole_cents(price: Decimal) -> None:
    (item,) = conform_session(session(f"{price:f}")).items
    is_cents = price == price.quantize(Decimal("0.01"))
    assert bool(item.problems) != is_cents
    assert item.values["price"] == (price if is_cents else None)


def test_equal_content_has_one_digest_whatever_the_order_of_keys() -> None:
    shuffled = json.dumps(dict(reversed(SESSION.items())), indent=1)
    assert conform_session(session()).digest == conform_session(shuffled).digest
    assert conform_session(session()).digest != conform_session(session('"1.1"')).digest


def test_a_rejected_items_record_keeps_a_number_beyond_all_bounds() -> None:
    assert b'"price":1E+999999999' in item_records(session("1E999999999"), [1])[0].encode()


def test_a_rejected_items_record_is_the_item_with_its_sessions_keys_and_its_place() -> None:
    (record,) = item_records(session(session_items=[ITEM, {**ITEM, "price": -1}]), [2])
    assert json.loads(record) == {
        "session_id": SESSION["session_id"],
        "user_id": SESSION["user_id"],
        "session_start_time": SESSION["session_start_time"],
        "item_number": 2,
        "item": {**ITEM, "price": -1},
    }


def test_the_records_of_a_session_of_many_items_are_read_at_once() -> None:
    raw = session(session_items=[{**ITEM, "price": -number} for number in range(8000)])
    records = item_records(raw, range(1, 8001))
    assert [json.loads(record)["item"]["price"] for record in records] == [-number for number in range(8000)]


@given(st.integers(0, 40_000), st.sampled_from(["session_id", "user_id", "user_agent"]), st.integers(0, 50))
def test_what_a_session_makes_of_its_texts_is_in_proportion(length: int, name: str, items: int) -> None:
    raw = session(session_items=[ITEM] * items, **{name: "x" * length})
    rows = list(session_rows(raw))
    made = sum(len(value) for row in rows for value in row.values() if isinstance(value, str))
    assert made < len(raw) + (items + 1) * (16_383 + 200)
    assert bool(rows[0]["problems"]) is (length > 16_383)
    assert rows[0]["item_count"] == items  # it counts with all of them, whatever becomes of it
    assert len(rows) == (1 if rows[0]["problems"] else 1 + items)


@given(
    st.text(max_size=12) | st.from_regex(r"\s?[+-]?[0-9_.\u0664\uff11]{1,8}([eE][+-]?[0-9]{1,4})?\s?", fullmatch=True)
)
def test_degrees_are_digits_as_everybody_writes_them(text: str) -> None:
    record = json.dumps({**USER, "user_location": [text, "-71.13", "Ely", "GB", "Europe/London"]})
    user = conform_user(record)
    read = user.row.values["latitude"]
    written = text.isascii() and "_" not in text and text == text.strip()
    assert (read is None) is bool(user.row.problems)
    if read is not None:
        assert written
        assert abs(Decimal(text) - read) <= Decimal("0.000000005")
    elif written and text.lstrip("+-").replace(".", "", 1).isdigit():
        assert abs(Decimal(text)) >= 999


@pytest.mark.parametrize("depth", [100, 900, 950, 980, 990, 1000, 1100, 5000])
def test_an_item_nested_without_end_is_kept_whatever_can_read_it(depth: int) -> None:
    deep = "[" * depth + "]" * depth
    raw = session(session_items=[ITEM]).replace('"Mozilla"', '"Mozilla", "extra": ' + deep)
    for text in (raw, session(deep)):
        typed = conform_session(text)
        problems = [*typed.row.problems, *(problem for item in typed.items for problem in item.problems)]
        assert problems or text is raw
        if not typed.row.problems:
            (record,) = item_records(text, [1])
            assert '"item_number":1' in record


_NAMES = st.sampled_from(sorted(SESSION_FIELDS | ITEM_FIELDS | USER_FIELDS)) | st.text()
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(_NAMES, inner),
    max_leaves=12,
)


@given(_JSON)
def test_no_json_value_breaks_conforming(value: Any) -> None:
    text = json.dumps(value)
    conform_session(text)
    conform_user(text)
    assert next(session_rows(text))["record"] == text


def test_a_record_nested_too_deeply_is_a_problem_not_a_failure() -> None:
    text = "[" * 100_000
    assert conform_session(text).row.problems
    assert conform_user(text).row.problems


_FIRST, _LAST = datetime.fromisoformat("1900-01-02"), datetime.fromisoformat("2199-12-30")


@given(st.datetimes(min_value=_FIRST, max_value=_LAST), st.sampled_from(["", "Z", "+05:30"]))
def test_an_instant_that_extract_finds_a_day_for_is_one_that_transform_types(moment: datetime, zone: str) -> None:
    text = moment.isoformat() + zone
    assert conform_session(session(session_start_time=text)).row.values["session_start_time"] == read_instant(text)
