"""Half-open intervals of UTC days, and the one rule for reading an instant from text."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from deftunes.core.errors import BadUsageError

# One rule for extract (places a record in a day) and transform (types it), so that no instant is readable for one and
# not for the other. ISO 8601: calendar, ordinal and week dates, basic and extended, a time down to the hour, a fraction
# of its last part, any offset in use (+14:00 is Kiribati's). Left out: what names no instant (a day), what cannot be
# held exactly (a leap second, a fraction finer than a microsecond), years that are a mistake rather than a date.
_INSTANT = re.compile(
    r"(?P<year>(?:19|20|21)\d\d)"
    r"(?:-?W(?P<week>[0-5]\d)-?(?P<weekday>[1-7])|-?(?P<month>[01]\d)-?(?P<day>[0-3]\d)|-?(?P<ordinal>[0-3]\d\d))"
    r"[T ](?P<hour>[01]\d|2[0-4])(?::?(?P<minute>[0-5]\d)(?::?(?P<second>[0-5]\d))?)?(?:[.,](?P<fraction>\d{1,40}))?"
    r"(?:Z|(?P<sign>[+\-\u2212])(?P<zone_hour>0\d|1[0-4])(?::?(?P<zone_minute>[0-5]\d))?)?",
    re.ASCII,
)
# What nearly every record has, and Python reads in a tenth of the time.
_COMMON = re.compile(
    r"(?:19|20|21)\d\d-\d\d-\d\dT(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{1,6})?"
    r"(Z|[+-](?:0\d|1[0-3]):[0-5]\d)?",
    re.ASCII,
)
_MICROSECONDS = {"hour": 3_600_000_000, "minute": 60_000_000, "second": 1_000_000}
_LAST_HOUR = 23
_WIDEST_OFFSET = timedelta(hours=14)
ONE_DAY = timedelta(days=1)


def read_instant(text: object) -> datetime | None:
    """The UTC instant that `text` names, or None if it is not a readable ISO 8601 instant. Naive means UTC."""
    if not isinstance(text, str):
        return None
    try:
        if not _COMMON.fullmatch(text):
            return _read_any(text)
        instant = datetime.fromisoformat(text)
    except ValueError:  # 30 February, week 53 of a year that has 52
        return None
    return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)


def read_day(text: object) -> date | None:
    """The UTC day of the instant that `text` names: `read_instant(text).date()`, for half the time on most records."""
    if isinstance(text, str) and (match := _COMMON.fullmatch(text)):
        zone = match[1]
        # So far from midnight that no minutes of the offset lead to another day.
        if zone in {None, "Z"} or 0 < int(text[11:13]) - int(zone[:3]) < _LAST_HOUR:
            try:
                return date.fromisoformat(text[:10])
            except ValueError:
                return None
    instant = read_instant(text)
    return None if instant is None else instant.date()


def _read_any(text: str) -> datetime | None:
    if not (match := _INSTANT.fullmatch(text)):
        return None
    time_of_day, offset = _time_of_day(match), _offset(match)
    if time_of_day is None or offset is None:
        return None
    return datetime.combine(_date(match), time(), UTC) + time_of_day - offset


def _date(match: re.Match[str]) -> date:
    year = int(match["year"])
    if match["week"]:
        return date.fromisocalendar(year, int(match["week"]), int(match["weekday"]))
    if match["ordinal"]:
        day = date(year, 1, 1) + timedelta(days=int(match["ordinal"]) - 1)
        if day.year != year:
            raise ValueError
        return day
    return date(year, int(match["month"]), int(match["day"]))


def _time_of_day(match: re.Match[str]) -> timedelta | None:
    """Since midnight; None where a microsecond is too coarse for it. 24:00 is the midnight that ends the day."""
    named = [name for name in _MICROSECONDS if match[name]]
    microseconds = sum(int(match[name]) * _MICROSECONDS[name] for name in named)
    if match["fraction"]:
        part, rest = divmod(int(match["fraction"]) * _MICROSECONDS[named[-1]], 10 ** len(match["fraction"]))
        if rest:
            return None
        microseconds += part
    found = timedelta(microseconds=microseconds)
    return found if found <= ONE_DAY else None


def _offset(match: re.Match[str]) -> timedelta | None:
    if not match["sign"]:
        return timedelta()
    offset = timedelta(hours=int(match["zone_hour"]), minutes=int(match["zone_minute"] or 0))
    if offset > _WIDEST_OFFSET:
        return None
    return offset if match["sign"] == "+" else -offset


@dataclass(frozen=True, slots=True, order=True)
class Interval:
    """The UTC days `[start, end)`.

    Raises:
        BadUsageError: `end` is not after `start`.

    """

    start: date
    end: date

    def __post_init__(self) -> None:
        if self.end <= self.start:
            raise BadUsageError(
                f"expected --end after --start, got [{self.start}, {self.end}): --end is exclusive, "
                f"one day is --start {self.start} --end {self.start + ONE_DAY}"
            )

    def __str__(self) -> str:
        return f"[{self.start}, {self.end})"

    def __contains__(self, day: date) -> bool:
        return self.start <= day < self.end

    def days(self) -> Iterator[date]:
        """Every day, in order."""
        for number in range((self.end - self.start).days):
            yield self.start + timedelta(days=number)

    def widened(self, look_back: int) -> "Interval":
        """The same interval, begun `look_back` days earlier."""
        return Interval(self.start - timedelta(days=look_back), self.end)

    def chunks(self, days: int) -> Iterator["Interval"]:
        """Consecutive intervals of at most `days` days that make up this one."""
        start = self.start
        while start < self.end:
            end = min(start + timedelta(days=days), self.end)
            yield Interval(start, end)
            start = end


def runs_of(days: Iterable[date]) -> list[Interval]:
    """The fewest intervals that hold these days and no other, in order."""
    runs: list[Interval] = []
    for day in sorted(set(days)):
        start = runs.pop().start if runs and runs[-1].end == day else day
        runs.append(Interval(start, day + ONE_DAY))
    return runs


def midnight(day: date) -> datetime:
    """The first instant of a UTC day."""
    return datetime.combine(day, time(), UTC)
