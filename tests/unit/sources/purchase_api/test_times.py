"""The ways to write an instant."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from purchase_api import times

INSTANTS = st.datetimes(datetime(1980, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - bounds are naive
STYLES = st.integers(0, len(times.STYLES) - 1)


@given(INSTANTS, STYLES)
def test_a_written_instant_reads_as_the_same_one(moment: datetime, style: int) -> None:
    instant = times.cut(times.instant_of(moment), style)
    read = datetime.fromisoformat(times.write(instant, style))
    assert times.instant_of(read) == instant
    assert timedelta(0) <= moment - times.moment_of(instant) < timedelta(seconds=1)


def test_every_precision_and_kind_of_offset_is_written() -> None:
    instant = times.instant_of(datetime(2020, 1, 15, 23, 59, 59, 999999, UTC))
    written = [times.write(instant, style) for style in range(len(times.STYLES))]
    for text in (
        "2020-01-15T23:59:59.999999",
        "2020-01-15T23:59:59.999",
        "2020-01-15T23:59:59",
        "2020-01-15T23:59:59.999999Z",
        "2020-01-15T23:59:59.999999+00:00",
        "2020-01-16T01:59:59.999999+02:00",
        "2020-01-16T05:29:59+05:30",
        "2020-01-15T15:59:59.999-08:00",
    ):
        assert text in written


@pytest.mark.parametrize("style", times.MICROSECOND_STYLES)
def test_styles_for_the_last_microsecond_of_a_day_keep_it(style: int) -> None:
    assert times.cut(999_999, style) == 999_999
