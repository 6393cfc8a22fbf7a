"""Half-open intervals of UTC days, and the one rule for reading an instant from text."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from deftunes.core.errors import BadUsageError

# One rule for Python (extract places a record in a day) and Spark (transform types it): transform uses this very
# pattern before its cast, so that no instant is readable for one and not for the other.
INSTANT_PATTERN = (
    r"(19|20|21)\d\d-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])"
    r"[T ]([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,6})?"
    r"(Z|[+-](0\d|1[0-3]):[0-5]\d)?"
)
_INSTANT = re.compile(INSTANT_PATTERN, re.ASCII)
_ZONE = 6  # its group
ONE_DAY = timedelta(days=1)


def read_instant(text: object) -> datetime | None:
    """The UTC instant that `text` names, or None if it is not a readable ISO 8601 instant. Naive means UTC."""
    if not isinstance(text, str) or not _INSTANT.fullmatch(text):
        return None
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:  # the pattern lets 30 February through
        return None
    return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)


def read_day(text: object) -> date | None:
    """The UTC day of the instant that `text` names: `read_instant(text).date()`, for half the time on most records."""
    if not isinstance(text, str) or not (match := _INSTANT.fullmatch(text)):
        return None
    if match[_ZONE] in {None, "Z"}:
        try:
            return date.fromisoformat(text[:10])
        except ValueError:
            return None
    instant = read_instant(text)
    return None if instant is None else instant.date()


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
