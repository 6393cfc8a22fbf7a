"""Numbers of every type that the catalogue may have, in every type that silver has: exactly, or not at all."""

import json
import math
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from deftunes.core.entities.songs import UNREADABLE
from deftunes.transform.numbers import TypedSongs, exact

RANGES = {"int": (-(2**31), 2**31 - 1), "bigint": (-(2**63), 2**63 - 1)}
# Around where one type ends and another goes on.
EDGES = [sign * (2**power + step) for power in (15, 24, 31, 32, 53, 63, 64) for step in (-1, 0, 1) for sign in (-1, 1)]


def integers(bits: int) -> st.SearchStrategy[int]:
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    return st.integers(low, high) | st.sampled_from([edge for edge in EDGES if low <= edge <= high])


def decimals() -> st.SearchStrategy[Decimal]:
    """As `numeric` holds them: up to 131,072 digits before the point, 16,383 after it."""
    usual = st.decimals(allow_nan=False, allow_infinity=False, places=None).filter(
        lambda value: abs(value.adjusted()) < 400
    )
    of_doubles = st.floats(allow_nan=False, allow_infinity=False).map(repr).map(Decimal)
    long = st.tuples(st.integers(), st.integers(-500, 500)).map(lambda pair: Decimal(pair[0]).scaleb(pair[1]))
    return usual | of_doubles | long | st.sampled_from(EDGES).map(Decimal)


LANDED: dict[str, st.SearchStrategy[Any]] = {
    "int2": integers(16),
    "int4": integers(32),
    "int8": integers(64),
    "float4": st.floats(width=32).map(lambda value: float(str(pa.scalar(value, pa.float32()).cast(pa.string())))),
    "float8": st.floats() | st.sampled_from(EDGES).map(float),
    "numeric": decimals().map(lambda value: format(value, "f")) | st.sampled_from(["NaN", "Infinity", "-Infinity"]),
    "text": decimals().map(str) | st.sampled_from(["NaN", "-inf", " 7 ", "7.", ".5", "1e3", "007"]),
}


def number_of(value: float | str) -> Decimal:
    return Decimal(value.strip()) if isinstance(value, str) else Decimal(value)


@pytest.mark.parametrize("silver", ["int", "bigint", "double"])
@pytest.mark.parametrize("landed", LANDED)
def test_a_number_is_kept_exactly_or_there_is_a_reason(landed: str, silver: str) -> None:
    @settings(max_examples=300)
    @given(LANDED[landed])
    def holds(value: float | str) -> None:
        got, reason = exact(value, silver)
        assert (got is None) is (reason is not None)
        sent = number_of(value)
        if got is None:
            assert not can_be_kept(sent, silver), f"{value!r} was rejected: {reason}"
        elif silver == "double":
            assert isinstance(got, float)
            assert same_double(got, sent), value
        else:
            assert isinstance(got, int)
            assert got == sent

    holds()


def can_be_kept(sent: Decimal, silver: str) -> bool:
    if silver == "double":
        return not sent.is_finite() or same_double(float(sent), sent)
    if not sent.is_finite():
        return False
    low, high = RANGES[silver]
    return low <= sent <= high and sent == int(sent)


def same_double(got: float, sent: Decimal) -> bool:
    if math.isnan(got) or sent.is_nan():
        return math.isnan(got) and sent.is_nan()
    return Decimal(got) == sent or Decimal(repr(got)) == sent


@settings(max_examples=500)
@given(st.text(max_size=12) | st.from_regex(r"\A[0-9.eEdfxX+_ -]{1,10}\Z"))
@example("1.5d")
@example("0x1p3")
@example("1_000")
@example("١٩٩٩")
@example("")
def test_a_text_is_a_number_only_where_it_is_written_as_one(text: str) -> None:
    got, reason = exact(text, "double")
    if got is not None and math.isfinite(got):
        assert set(text) <= set("0123456789.eE+- ")
        assert float(text) == got
    else:
        assert got is not None or reason in {"text", "a number that it cannot hold exactly"}


@pytest.mark.parametrize(
    ("value", "silver", "got"),
    [
        (4294969297, "int", "a number beyond its range"),
        ("9" * 30000, "bigint", "a number beyond its range"),
        ("1e999999", "bigint", "a number beyond its range"),
        ("1e999999", "double", "a number that it cannot hold exactly"),
        ("1e-999999", "double", "a number that it cannot hold exactly"),
        (9.223372036854775807e18, "bigint", "a number beyond its range"),
        (9007199254740993, "double", "a number that it cannot hold exactly"),
        (7.9, "bigint", "a fraction"),
        (math.nan, "int", "NaN"),
        (-math.inf, "bigint", "an infinite number"),
        ("seven", "int", "text"),
    ],
)
def test_the_reason_says_what_came(value: float | str, silver: str, got: str) -> None:
    assert exact(value, silver) == (None, got)


def test_a_landing_with_the_floats_of_an_earlier_version_shows_the_digits_that_the_source_showed() -> None:
    landed = pa.RecordBatch.from_pydict({
        "duration": pa.array([0.1, None, math.nan], pa.float32()),
        "year": pa.array(["1999", "MCM", None]),
        "title": pa.array(["a", "b", None]),
    })  # fmt: skip

    types = {"title": "string", "duration": "double", "year": "int"}
    (batch,) = TypedSongs(types, 2, "landing/songs/snapshot/l").batches([landed])

    assert batch.column("duration").to_pylist()[:2] == [0.1, None]
    assert math.isnan(batch.column("duration").to_pylist()[2])
    assert batch.column("year").to_pylist() == [1999, None, None]
    assert batch.column("title").to_pylist() == ["a", "b", None]
    assert batch.column("problems").to_pylist() == [None, "year: expected int, got text", None]
    assert [json.loads(text) for text in batch.column("as_landed").to_pylist()] == [
        {"duration": 0.1, "year": "1999"},
        {"duration": None, "year": "MCM"},
        {"duration": "nan", "year": None},
    ]
    assert batch.column("place").to_pylist() == [2, 2, 2]
    assert set(batch.column("landing").to_pylist()) == {"landing/songs/snapshot/l"}


def test_minus_zero_is_zero_and_why_a_text_is_unreadable_is_one_line() -> None:
    landed = pa.RecordBatch.from_pydict({"duration": pa.array([-0.0, 1.5]), UNREADABLE: pa.array([None, "a\nb"])})
    (batch,) = TypedSongs({"duration": "double"}, 0, "l").batches([landed])
    assert str(batch.column("duration").to_pylist()[0]) == "0.0"
    assert batch.column("problems").to_pylist() == [None, "a b"]
