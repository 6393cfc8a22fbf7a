from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any, cast

import pytest
from day import Line, Sales, compete, difference, table
from home import CommandError, Platform, Taken

SOLD: Sales = {"EUR": (2, Decimal("1.98")), "USD": (1, Decimal("0.99"))}


class NoPlatform:
    """Copied for each run, and never used."""

    @contextmanager
    def copy(self, *_: object) -> Iterator["NoPlatform"]:
        yield self


def taken(gold: float, *, java: bool = False) -> Taken:
    return Taken(gold + 1, 100, java, gold * 2, reached={"publish": gold / 2, "model": gold})


def line(name: str, *results: Any) -> Line:
    answers = iter(results)

    def run(_: Platform) -> tuple[Taken, Sales]:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return cast(tuple[Taken, Sales], answer)

    return Line(name, run)


def shown(rounds: int, *lines: Line) -> list[str]:
    compete(lines, rounds, cast(Platform, NoPlatform()))
    return table("a day", lines).splitlines()[3:]


def test_the_same_sales_in_each_round_give_a_ratio() -> None:
    first = line("first", *((taken(seconds), SOLD) for seconds in (10, 90, 12)))
    second = line("second", *((taken(seconds, java=True), dict(reversed(SOLD.items()))) for seconds in (24, 23, 99)))
    assert [one.split() for one in shown(3, first, second)] == [
        ["first,", "no", "java", "6.0", "12.0", "1.00", "x", "24.0", "100"],
        ["second,", "java", "12.0", "24.0", "2.00", "x", "48.0", "100"],
    ]


@pytest.mark.parametrize(
    ("sales", "failure"),
    [
        ({**SOLD, "USD": (1, Decimal("0.98"))}, "1 items 0.98 USD, expected 1 items 0.99"),
        ({"EUR": SOLD["EUR"]}, "0 items 0 USD, expected 1 items 0.99"),
        ({**SOLD, "GBP": (1, Decimal(1))}, "1 items 1 GBP, expected 0 items 0"),
        ({}, "0 items 0 EUR, expected 2 items 1.98"),
    ],
)
def test_other_sales_have_no_ratio(sales: Sales, failure: str) -> None:
    assert difference(SOLD, sales) == f"other data: {failure}"
    _, other = shown(2, line("first", *[(taken(10), SOLD)] * 2), line("second", (taken(5), sales)))
    assert failure in other
    assert " x" not in other


def test_a_tool_that_fails_is_shown_with_the_reason_and_does_not_run_again() -> None:
    _, other = shown(2, line("first", *[(taken(10), SOLD)] * 2), line("second", CommandError("ended with 1:\nno disk")))
    assert other.split(maxsplit=1) == ["second", "failed: no disk"]


def test_sales_are_compared_with_the_first_that_did_not_fail() -> None:
    first, second = shown(1, line("first", CommandError("no")), line("second", (taken(10), SOLD)))
    assert "failed: no" in first
    assert "1.00 x" in second
