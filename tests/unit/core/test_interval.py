from datetime import UTC, date, datetime, timedelta, timezone
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deftunes.core.errors import BadUsageError
from deftunes.core.interval import ONE_DAY, Interval, midnight, read_day, read_instant, runs_of

DAYS = st.dates(date(1901, 1, 2), date(2198, 12, 30))
INSTANTS = st.datetimes(datetime(1901, 1, 2), datetime(2198, 12, 30))  # noqa: DTZ001 - the zone is what is tested


@pytest.mark.parametrize("end", [date(2026, 1, 1), date(2025, 12, 31)])
def test_an_interval_without_days_is_bad_usage_and_says_what_one_day_is(end: date) -> None:
    with pytest.raises(BadUsageError, match="--start 2026-01-01 --end 2026-01-02"):
        Interval(date(2026, 1, 1), end)


@given(DAYS, st.integers(1, 400), st.integers(1, 50))
def test_chunks_make_up_the_interval(start: date, length: int, size: int) -> None:
    interval = Interval(start, start + timedelta(days=length))

    chunks = list(interval.chunks(size))

    assert [day for chunk in chunks for day in chunk.days()] == list(interval.days())
    assert all((chunk.end - chunk.start).days <= size for chunk in chunks)
    assert len(list(interval.days())) == length


@given(DAYS, st.integers(1, 40), st.integers(0, 40), st.integers(-50, 90))
def test_widening_adds_days_before_and_keeps_the_end(start: date, length: int, look_back: int, offset: int) -> None:
    interval = Interval(start, start + timedelta(days=length))
    day = start + timedelta(days=offset)

    widened = interval.widened(look_back)

    assert widened.end == interval.end
    assert (day in widened) == (day in interval or start - timedelta(days=look_back) <= day < start)
    assert (day in interval) == (day in list(interval.days()))


@given(DAYS, st.lists(st.integers(0, 30)))
def test_runs_hold_the_days_and_no_other_and_never_touch(start: date, offsets: list[int]) -> None:
    days = [start + timedelta(days=offset) for offset in offsets]

    runs = runs_of(days)

    assert [day for run in runs for day in run.days()] == sorted(set(days))
    assert all(before.end < after.start for before, after in pairwise(runs))


@given(INSTANTS, st.sampled_from(["T", " "]), st.integers(-13 * 60 - 59, 13 * 60 + 59))
def test_an_instant_with_an_offset_is_the_instant_that_it_names(naive: datetime, gap: str, minutes: int) -> None:
    there = naive.replace(tzinfo=timezone(timedelta(minutes=minutes)))

    assert read_instant(there.isoformat(gap)) == there
    assert read_day(there.isoformat(gap)) == there.astimezone(UTC).date()


@given(INSTANTS)
def test_an_instant_without_a_zone_is_utc_and_so_is_z(naive: datetime) -> None:
    assert read_instant(naive.isoformat()) == naive.replace(tzinfo=UTC)
    assert read_instant(naive.isoformat() + "Z") == naive.replace(tzinfo=UTC)
    assert read_day(naive.isoformat()) == read_day(naive.isoformat() + "Z") == naive.date()


@given(st.one_of(st.text(), st.integers(), st.none(), st.lists(st.text())))
def test_no_value_makes_reading_an_instant_fail(value: object) -> None:
    instant = read_instant(value)

    assert instant is None or instant.tzinfo is UTC
    assert read_day(value) == (instant and instant.date())


@given(DAYS)
def test_midnight_is_the_first_instant_of_its_day(day: date) -> None:
    assert midnight(day).date() == day
    assert (midnight(day) - timedelta(microseconds=1)).date() == day - ONE_DAY
