"""Instants as whole microseconds since 1970 (UTC), and the several ways in which a shop writes them down."""

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache

SECOND = 1_000_000
DAY = 86_400 * SECOND
_EPOCH = date(1970, 1, 1)
_EPOCH_INSTANT = datetime(1970, 1, 1, tzinfo=UTC)

# (unit the instant is cut to, offset from UTC, what is written behind the seconds). No suffix means UTC.
STYLES = (
    (1, 0, ""),
    (1000, 0, ""),
    (SECOND, 0, ""),
    (1, 0, "Z"),
    (1000, 0, "Z"),
    (SECOND, 0, "Z"),
    (1, 0, "+00:00"),
    (1, 2 * 3600 * SECOND, "+02:00"),
    (SECOND, 19800 * SECOND, "+05:30"),
    (1000, -8 * 3600 * SECOND, "-08:00"),
)
MICROSECOND_STYLES = (0, 3, 6, 7)


def midnight(day: date) -> int:
    """The instant at which a UTC day begins."""
    return (day - _EPOCH).days * DAY


def instant_of(moment: datetime) -> int:
    """An aware moment as microseconds; a naive one is UTC."""
    aware = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    return (aware - _EPOCH_INSTANT) // timedelta(microseconds=1)


def moment_of(instant: int) -> datetime:
    """The inverse of `instant_of`."""
    return _EPOCH_INSTANT + timedelta(microseconds=instant)


def day_of(instant: int) -> date:
    """The UTC day of an instant."""
    return _EPOCH + timedelta(days=instant // DAY)


def cut(instant: int, style: int) -> int:
    """The latest instant not after this one that `style` can write without loss."""
    unit = STYLES[style][0]
    return instant - instant % unit


def write(instant: int, style: int) -> str:
    """An instant in ISO 8601, in one of `STYLES`, cut to the style's precision."""
    unit, offset, suffix = STYLES[style]
    days, rest = divmod(instant + offset, DAY)
    seconds, fraction = divmod(rest, SECOND)
    hours, seconds = divmod(seconds, 3600)
    minutes, seconds = divmod(seconds, 60)
    if unit == SECOND:
        return f"{_iso(days)}T{hours:02}:{minutes:02}:{seconds:02}{suffix}"
    if unit == 1:
        return f"{_iso(days)}T{hours:02}:{minutes:02}:{seconds:02}.{fraction:06}{suffix}"
    return f"{_iso(days)}T{hours:02}:{minutes:02}:{seconds:02}.{fraction // 1000:03}{suffix}"


@lru_cache(maxsize=4096)
def _iso(days: int) -> str:
    return (_EPOCH + timedelta(days=days)).isoformat()
