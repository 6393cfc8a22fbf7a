"""Conforming types what it can, names what it cannot, and never fails on a record."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deftunes.core.interval import read_instant
from deftunes.transform.conform import conform_session, conform_user, item_record, session_rows

ITEM = {
    "song_id": "TRAAAAA128F4222AED", "song_name": "Émile", "artist_id": "ARAAAAA1187B98BFB3", "artist_name": "Ø",
    "price": 1.1, "currency": "USD", "liked": True, "liked_since": "2020-01-02T10:00:00Z",
}  # fmt: skip
SESSION = {
    "user_id": "u" * 36, "session_id": "s" * 36, "session_items": [ITEM], "user_agent": "Mozilla",
    "session_start_time": "2020-01-01T23:59:59.999999+01:00",
}  # fmt: skip
USER = {
    "user_id": "u" * 36, "user_name": "Ada", "user_lastname": "", "user_since": "2019-05-01T00:00:00",
    "user_location": ["40.71427", "-74.00597", "New York", "US", "America/New_York"],
}  # fmt: skip


def session(price_text: str | None = None, **changes: Any) -> str:
    text = json.dumps({**SESSION, **changes})
    return text.replace('"price": 1.1', f'"price": {price_text}') if price_text else text


def test_a_good_session_is_typed() -> None:
    typed = conform_session(session())
    assert not typed.row.problems
    assert typed.row.values["session_start_time"] == datetime(2020, 1, 1, 22, 59, 59, 999999, tzinfo=UTC)
    (item,) = typed.items
    assert not item.problems
    assert item.values["item_number"] == 1
    assert item.values["track_id"] == ITEM["song_id"]
    assert item.values["price"] == Decimal("1.10")
    assert item.values["liked_since"] == datetime(2020, 1, 2, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("sent", "expected"),
    [("2", "2.00"), ("2.00", "2.00"), ("0", "0.00"), ("1E0", "1.00"), ("1.990", "1.99"), ("-1", "-1.00")],
)
def test_a_price_of_at_most_two_decimals_is_kept_exactly(sent: str, expected: str) -> None:
    (item,) = conform_session(session(sent)).items
    assert item.values["price"] == Decimal(expected)
    assert not item.problems


@pytest.mark.parametrize(
    "sent",
    [
        '"1.99"', "1.995", "true", "1e-3", "1e400", "10000000000", "2.00000000000000000000000000000001", "[1]", "{}",
        "1E999999999", "-1E999999999", "1e-999999999", "9999999999.999999999999999999999",
    ],
)  # fmt: skip
def test_a_price_that_is_no_amount_of_money_is_a_problem_and_never_rounded(sent: str) -> None:
    (item,) = conform_session(session(sent)).items
    assert item.values["price"] is None
    assert [problem.partition(":")[0] for problem in item.problems] == ["price"]


@given(st.decimals(min_value=0, max_value=10**9, places=4))
def test_a_price_is_accepted_exactly_when_it_is_whole_cents(price: Decimal) -> None:
    (item,) = conform_session(session(f"{price:f}")).items
    is_cents = price == price.quantize(Decimal("0.01"))
    assert bool(item.problems) != is_cents
    assert item.values["price"] == (price if is_cents else None)


@pytest.mark.parametrize(
    ("name", "value"),
    [("session_items", None), ("session_items", {}), ("session_id", 7), ("user_agent", ["a"]), ("user_id", False)],
)
def test_a_field_of_the_wrong_type_is_a_problem_of_the_session(name: str, value: Any) -> None:
    assert [problem.partition(":")[0] for problem in conform_session(session(**{name: value})).row.problems] == [name]


@pytest.mark.parametrize(("name", "value"), [("liked", "yes"), ("liked_since", "soon"), ("song_name", 3)])
def test_a_field_of_the_wrong_type_is_a_problem_of_that_item_only(name: str, value: Any) -> None:
    typed = conform_session(session(session_items=[ITEM, {**ITEM, name: value}, "no item"]))
    assert not typed.row.problems
    assert [len(item.problems) for item in typed.items] == [0, 1, 1]
    assert [item.values["item_number"] for item in typed.items] == [1, 2, 3]


def test_absent_and_null_are_null_and_left_to_the_rules() -> None:
    (item,) = conform_session(session(session_items=[{"price": None}])).items
    assert not item.problems
    assert item.values["price"] is None
    assert item.values["track_id"] is None


def test_unknown_fields_are_named_and_ignored() -> None:
    typed = conform_session(session(mood="good", session_items=[{**ITEM, "gift": True}]))
    assert typed.unknown_fields == {"mood", "session_items[].gift"}
    assert not typed.row.problems


def test_equal_content_has_one_digest_whatever_the_order_of_keys() -> None:
    shuffled = json.dumps(dict(reversed(SESSION.items())), indent=1)
    assert conform_session(session()).digest == conform_session(shuffled).digest
    assert conform_session(session()).digest != conform_session(session('"1.1"')).digest


def test_a_rejected_items_record_keeps_a_number_beyond_all_bounds() -> None:
    assert b'"price":1E+999999999' in item_record(session("1E999999999"), 1).encode()


def test_a_rejected_items_record_is_the_item_with_its_sessions_keys_and_its_place() -> None:
    record = json.loads(item_record(session(session_items=[ITEM, {**ITEM, "price": -1}]), 2))
    assert record == {
        "session_id": SESSION["session_id"],
        "user_id": SESSION["user_id"],
        "session_start_time": SESSION["session_start_time"],
        "item_number": 2,
        "item": {**ITEM, "price": -1},
    }


def test_a_good_user_is_typed() -> None:
    typed = conform_user(json.dumps(USER))
    assert not typed.row.problems
    assert typed.row.values["latitude"] == Decimal("40.71427000")
    assert typed.row.values["country_code"] == "US"
    assert typed.row.values["user_since"] == datetime(2019, 5, 1, tzinfo=UTC)
    assert typed.row.values["user_lastname"] == ""


@pytest.mark.parametrize(
    "location",
    [None, [], ["1", "2", "x", "US"], ["1", "2", "x", "US", "UTC", "more"], ["north", "2", "x", "US", "UTC"],
     ["1", "NaN", "x", "US", "UTC"], ["1", "2", None, "US", "UTC"], [1, 2, "x", "US", "UTC"], "1,2,x,US,UTC",
     ["1", "-1000", "x", "US", "UTC"], ["1e9999999", "2", "x", "US", "UTC"], ["999.9999999999", "2", "x", "US", "UTC"],
     ["1e99999999999999999999", "2", "x", "US", "UTC"]],
)  # fmt: skip
def test_a_location_is_five_texts_and_its_degrees_fit(location: Any) -> None:
    assert conform_user(json.dumps({**USER, "user_location": location})).row.problems


_NAMES = st.sampled_from([*SESSION, *ITEM, *USER]) | st.text()
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


@pytest.mark.parametrize(
    "text",
    ['{"session_id":"\\ud800"}', '{"user_id"', "", "[" * 100_000, '{"user_since": 1e99999999999999999999}',
     '{"unknown": [-1E-99999999999999999999]}'],
)  # fmt: skip
def test_what_is_no_json_is_a_problem_not_a_failure(text: str) -> None:
    assert conform_session(text).row.problems
    assert conform_user(text).row.problems


_FIRST, _LAST = datetime.fromisoformat("1900-01-02"), datetime.fromisoformat("2199-12-30")


@given(st.datetimes(min_value=_FIRST, max_value=_LAST), st.sampled_from(["", "Z", "+05:30"]))
def test_an_instant_that_extract_can_place_is_one_that_transform_can_type(moment: datetime, zone: str) -> None:
    text = moment.isoformat() + zone
    assert conform_session(session(session_start_time=text)).row.values["session_start_time"] == read_instant(text)
