from datetime import UTC, date, datetime, time, timedelta, timezone
from itertools import pairwise

import pytest
from hypothesis import given, settings
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


@given(INSTANTS, st.sampled_from(["T", " "]), st.integers(-14 * 60, 14 * 60))
def test_an_instant_with_an_offset_is_the_instant_that_it_names(naive: datetime, gap: str, minutes: int) -> None:
    there = naive.replace(tzinfo=timezone(timedelta(minutes=minutes)))

    assert read_instant(there.isoformat(gap)) == there
    assert read_day(there.isoformat(gap)) == there.astimezone(UTC).date()


def _write_date(day: date, form: str) -> str:
    match form:
        case "week":
            year, week, weekday = day.isocalendar()
            return f"{year}-W{week:02}-{weekday}"
        case "ordinal":
            return f"{day.year}-{day.timetuple().tm_yday:03}"
        case _:
            return day.isoformat()


def _write_time(at: time, digits: int, mark: str) -> str:
    """As short as `at` allows, with `digits` of a fraction of its last part."""
    microseconds = (at.minute * 60 + at.second) * 1_000_000 + at.microsecond
    for text, unit in ((f"{at:%H}", 3_600_000_000), (f"{at:%H:%M}", 60_000_000), (f"{at:%H:%M:%S}", 1_000_000)):
        fraction, rest = divmod(microseconds % unit * 10**digits, unit)
        if not rest:
            return text + (f"{mark}{fraction:0{digits}}" if digits else "")
    return f"{at:%H:%M:%S}{mark}{at.microsecond:06}"


@given(
    INSTANTS,
    st.sampled_from([1, 1_000, 1_000_000, 60_000_000, 360_000_000]),
    st.sampled_from(["calendar", "ordinal", "week"]),
    st.integers(0, 12),
    st.sampled_from(",."),
    st.integers(-14 * 4, 14 * 4).map(lambda quarters: quarters * 15),
    st.sampled_from(["+00:00", "basic", "hours"]),
    st.booleans(),
)
@settings(max_examples=1000)
def test_what_iso_8601_allows_is_read_exactly(
    naive: datetime, step: int, form: str, digits: int, mark: str, minutes: int, zone: str, basic: bool
) -> None:
    since_midnight = naive - datetime.combine(naive, time())
    naive -= timedelta(microseconds=since_midnight // timedelta(microseconds=1) % step)
    if zone == "hours":
        minutes -= minutes % 60
    there = naive.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    text = f"{_write_date(naive.date(), form)}T{_write_time(naive.time(), digits, mark)}"
    if basic:
        text = text.replace("-", "").replace(":", "")
    offset = f"{there:%z}"
    text += {"hours": offset[:3], "basic": offset}.get(zone, f"{offset[:3]}:{offset[3:]}")

    assert read_instant(text) == there
    assert read_day(text) == there.astimezone(UTC).date()


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-01-15T24:00:00Z", "2026-01-16T00:00:00+00:00"),
        ("2026-12-31T24:00", "2027-01-01T00:00:00+00:00"),
        ("2026-01-15T24:00:00,000+14:00", "2026-01-15T10:00:00+00:00"),
        ("2026-01-15T12:00:00.123456000", "2026-01-15T12:00:00.123456+00:00"),
        ("2026-01-15T12:00:00\u221201:00", "2026-01-15T13:00:00+00:00"),
        ("2026-W03-4T12:00:00", "2026-01-15T12:00:00+00:00"),
        ("2026-015T12:00", "2026-01-15T12:00:00+00:00"),
        ("20260115T1200Z", "2026-01-15T12:00:00+00:00"),
    ],
)
def test_forms_that_are_rare_are_read(text: str, instant: str) -> None:
    assert read_instant(text) == datetime.fromisoformat(instant)


@given(INSTANTS)
def test_an_instant_without_a_zone_is_utc_and_so_is_z(naive: datetime) -> None:
    assert read_instant(naive.isoformat()) == naive.replace(tzinfo=UTC)
    assert read_instant(naive.isoformat() + "Z") == naive.replace(tzinfo=UTC)
    assert read_day(naive.isoformat()) == read_day(naive.isoformat() + "Z") == naive.date()


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-15T24:30:00Z", "2026-01-15T24:00:00.000001", "2025-W53-1T12:00:00", "2026-366T12:00:00",
        "2026-000T12:00:00", "2026-13-01T12:00:00", "2026-01-00T12:00:00", "2026-01-15T12,333333333",
        "2026-01-15T12:00:00." + "0" * 41, "2026-01-15T12:00:00+14:01", "2026-01-15T12:00:00-14:30",
        "2026-01-15T12:00:00+15:00",
    ],
)  # fmt: skip
def test_what_is_no_instant_is_none(text: object) -> None:
    assert read_instant(text) is None
    assert read_day(text) is None


@given(st.one_of(st.text(), st.integers(), st.none(), st.lists(st.text())))
def test_no_value_makes_reading_an_instant_fail(value: object) -> None:
    instant = read_instant(value)

    assert instant is None or instant.tzinfo is UTC
    assert read_day(value) == (instant and instant.date())


@given(DAYS)
def test_midnight_is_the_first_instant_of_its_day(day: date) -> None:
    assert midnight(day).date() == day
    assert (midnight(day) - timedelta(microseconds=1)).date() == day - ONE_DAY
