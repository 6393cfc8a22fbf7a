"""Which dates the Purchase API is asked for, though it does not say what it means by them.

It may count `end_date` or not, and take a date in any zone. So all dates are asked that a wanted UTC day can have
somewhere: from the day before the first to the day after the last. They are asked in pairs, `start_date` one date and
`end_date` the next. An API that counts `end_date` answers a pair with both; that it did is seen in the answer. Where it
is not seen, the second date is asked for again, as a `start_date`, which every API counts.
"""

from dataclasses import dataclass, field
from datetime import date

from deftunes.core.interval import ONE_DAY, read_instant

# Up to here the margins would cost more than the parts are worth: one request brings them all.
_SHORT = 4
# A date that is over elsewhere is so at this hour of UTC at the latest: nobody's clock is further behind.
_OVER_EVERYWHERE = 14
# One record with a wrong time is no sign. Of records spread evenly over two days, one in five is.
_FEWEST_SIGNS = 3
_SHARE_OF_SIGNS = 20
_LOOKED_AT = 32


@dataclass(frozen=True, slots=True, order=True)
class Asked:
    """The dates of one request. `needs_end`: no other request asks for the date `end`."""

    start: date
    end: date
    needs_end: bool = False

    @property
    def rest(self) -> "Asked":
        """What to ask where the answer does not show that `end` was counted."""
        return Asked(self.end, self.end + ONE_DAY)

    def may_hold(self, day: date) -> bool:
        """Whether the answer can hold records of this UTC day: in its zone they may be of the day before or after."""
        return self.start - ONE_DAY <= day <= self.end + ONE_DAY


def requests_for(days: list[date]) -> list[Asked]:
    """The requests for these days, which are sorted."""
    return [asked for run in _runs(days) for asked in _requests_for_run(run[0], run[-1])]


def _runs(days: list[date]) -> list[list[date]]:
    runs: list[list[date]] = []
    for day in days:
        # The margins of two runs would meet in a gap of two days: asking for the gap, too, is cheaper.
        if runs and day - runs[-1][-1] <= 3 * ONE_DAY:
            runs[-1].append(day)
        else:
            runs.append([day])
    return runs


def _requests_for_run(first: date, last: date) -> list[Asked]:
    # An `end_date` that is not counted must be the second day after the last one, since a record of the last UTC day
    # may carry the next day's date in its own zone.
    start, stop = first - ONE_DAY, last + 2 * ONE_DAY
    if (last - first).days < _SHORT:
        return [Asked(start, stop)]
    starts = [start + number * ONE_DAY for number in range(0, (stop - start).days, 2)]
    return [Asked(start, start + ONE_DAY, needs_end=start + ONE_DAY < stop) for start in starts]


@dataclass(slots=True)
class EndSeen:
    """Looks for records in an answer that only an API sends that counts `end`."""

    asked: Asked
    _rows: int = field(default=0, init=False)
    _signs: int = field(default=0, init=False)

    def observe(self, starts: list[object], days: list[date | None]) -> None:
        """Look at more records: their times as sent, and the UTC days that these are in. Of many, some will do."""
        step = max(1, len(days) // _LOOKED_AT)
        starts, days = starts[::step], days[::step]
        self._rows += len(days)
        end = self.asked.end
        date_of_end = end.isoformat()
        # Of that date as it is written, and so late that it is of that date in every zone.
        self._signs += sum(
            day == end and isinstance(start, str) and start.startswith(date_of_end) and _is_late(start)
            for start, day in zip(starts, days, strict=True)
        )

    @property
    def is_sure(self) -> bool:
        """Whether the records seen leave no doubt."""
        return self._signs >= _FEWEST_SIGNS and self._signs * _SHARE_OF_SIGNS >= self._rows


def _is_late(start: str) -> bool:
    instant = read_instant(start)
    return instant is not None and instant.hour >= _OVER_EVERYWHERE
