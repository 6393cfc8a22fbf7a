from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deftunes.core.interval import ONE_DAY, read_day
from deftunes.extract.asked import Asked, EndSeen, requests_for

DAY = date(2026, 1, 10)


def dates_of(asked: Asked, *, inclusive: bool) -> set[date]:
    days = (asked.end - asked.start).days + inclusive
    return {asked.start + timedelta(days=number) for number in range(days)}


@settings(max_examples=50)
@given(st.sets(st.integers(0, 400), min_size=1), st.booleans(), st.data())
def test_every_date_that_a_day_can_have_is_asked_for(numbers: set[int], inclusive: bool, data: st.DataObject) -> None:
    days = sorted(date(2026, 1, 1) + timedelta(days=number) for number in numbers)

    asked = requests_for(days)
    # What does not count `end_date` never shows it; what counts it may.
    seen = [inclusive and data.draw(st.booleans()) for _ in asked]
    rests = [one.rest for one, is_seen in zip(asked, seen, strict=True) if one.needs_end and not is_seen]

    assert asked == sorted(asked)
    brought = set().union(*(dates_of(one, inclusive=inclusive) for one in [*asked, *rests]))
    assert {day + margin for day in days for margin in (-ONE_DAY, 0 * ONE_DAY, ONE_DAY)} <= brought
    assert not any(one.needs_end for one in rests)


def test_a_few_days_are_one_request_and_many_are_pairs_of_dates() -> None:
    assert requests_for([DAY]) == [Asked(DAY - ONE_DAY, DAY + 2 * ONE_DAY)]
    assert requests_for([DAY - 3 * ONE_DAY, DAY]) == [Asked(DAY - 4 * ONE_DAY, DAY + 2 * ONE_DAY)]
    assert len(requests_for([DAY - 4 * ONE_DAY, DAY])) == 2
    week = requests_for([DAY + number * ONE_DAY for number in range(7)])
    assert [((one.start - DAY).days, (one.end - DAY).days, one.needs_end) for one in week] == [
        (-1, 0, True), (1, 2, True), (3, 4, True), (5, 6, True), (7, 8, False)
    ]  # fmt: skip
    fortnight = requests_for([DAY + number * ONE_DAY for number in range(14)])
    assert (fortnight[-1], fortnight[-1].rest.end) == (
        Asked(DAY + 13 * ONE_DAY, DAY + 14 * ONE_DAY, needs_end=True), DAY + 15 * ONE_DAY
    )  # fmt: skip


@pytest.mark.parametrize(
    ("starts", "is_sure"),
    [
        (["2026-01-10T14:00:00"] * 3, True),
        (["2026-01-10T14:00:00Z", "2026-01-10T20:00:00+02:00", "2026-01-10T09:59:59-14:00"], True),
        (["2026-01-10T14:00:00"] * 2, False),
        (["2026-01-10T13:59:59"] * 9, False),  # of the day before, by a clock that is fourteen hours behind
        (["2026-01-09T23:00:00-14:00"] * 9, False),  # of the day before, as it is written
        (["2026-01-11T14:00:00"] * 9, False),
        (["2026-01-10T14:00:00"] * 3 + ["2026-01-09T14:00:00"] * 57, True),
        (["2026-01-10T14:00:00"] * 3 + ["2026-01-09T14:00:00"] * 58, False),  # perhaps three wrong times
        ([None, 5, "2026-01-10", "yesterday"], False),
        ([], False),
    ],
)
def test_only_late_records_of_the_end_show_that_it_was_counted(starts: list[object], is_sure: bool) -> None:
    seen = EndSeen(Asked(DAY - ONE_DAY, DAY, needs_end=True))
    for start in starts:
        seen.observe([start], [read_day(start)])
    assert seen.is_sure is is_sure
