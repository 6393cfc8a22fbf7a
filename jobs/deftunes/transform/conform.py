"""Typed conforming of one API record: pure Python, no Spark, no inference, every problem named.

    record text -> typed fields, and what is wrong with them

A field of the wrong type rejects its record (an item's field: that item), never the landing. Unknown fields are
ignored and named once by the caller. The DQDL row rules validate what this module could type; the same reader of
instants serves extract, so no record is readable for one stage and not for the other.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from deftunes.core.interval import read_instant
from deftunes.core.records import UNREADABLE, content_digest, decode, encode

_CENT = Decimal("0.01")
_PRICE_LIMIT = Decimal(10) ** 10  # decimal(12,2)
_DEGREE_LIMIT = Decimal(1000)  # decimal(11,8)
_DEGREE = Decimal("0.00000001")
_DEGREES = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_LOCATION_PARTS = 5
# Of a session's own texts, which each of its rows repeats: what one record makes of them has to stay in proportion.
_SESSION_TEXT_LIMIT = 16_383
_MISSING = object()
_UNREADABLE = object()

# What is named of a record's unknown fields: their number and length are the source's choice.
_UNKNOWN_SHOWN = 20
_NAME_SHOWN = 80

SESSION_FIELDS = frozenset({"user_id", "session_id", "session_items", "user_agent", "session_start_time"})
ITEM_FIELDS = frozenset(
    {"song_id", "song_name", "artist_id", "artist_name", "price", "currency", "liked", "liked_since"}
)
USER_FIELDS = frozenset({"user_id", "user_name", "user_lastname", "user_location", "user_since"})


@dataclass(slots=True)
class ParsedRow:
    """One row to be: its typed values by silver column, and what is wrong with it."""

    values: dict[str, Any]
    problems: list[str] = field(default_factory=list)


@dataclass(slots=True)
class ParsedSession:
    """A session and its items. `digest` is over the whole record's content."""

    digest: bytes
    row: ParsedRow
    items: list[ParsedRow]
    unknown_fields: frozenset[str] = frozenset()


@dataclass(slots=True)
class ParsedUser:
    """A user. `digest` is over the whole record's content."""

    digest: bytes
    row: ParsedRow
    unknown_fields: frozenset[str] = frozenset()


def conform_session(raw: str) -> ParsedSession:
    """Type one record of `/sessions`; items keep their place as sent, from 1."""
    value, digest = _read(raw)
    row = ParsedRow({})
    if not isinstance(value, dict):
        row.problems.append(_expected("the record", "a JSON object", value))
        return ParsedSession(digest, row, [])
    take = _Fields(value, row)
    take("session_id", _session_text)
    take("user_id", _session_text)
    take("user_agent", _session_text)
    take("session_start_time", _instant)
    items = value.get("session_items", _MISSING)
    if not isinstance(items, list):
        row.problems.append(_expected("session_items", "an array", items))
        items = []
    unknown = value.keys() - SESSION_FIELDS
    rows = []
    for number, item in enumerate(items, 1):
        rows.append(_conform_item(number, item))
        if isinstance(item, dict):
            unknown |= {f"session_items[].{name}" for name in item.keys() - ITEM_FIELDS}
    return ParsedSession(digest, row, rows, frozenset(unknown))


def item_records(raw: str, item_numbers: Iterable[int]) -> list[str]:
    """What quarantine keeps of items of one session: the item, its place, and the session's keys, each as JSON."""
    try:
        session = decode(raw)
        keys = {name: session.get(name) for name in ("session_id", "user_id", "session_start_time")}
        items = session["session_items"]
        return [encode({**keys, "item_number": n, "item": items[n - 1]}).decode() for n in item_numbers]
    except UNREADABLE:  # an item nested as deep as could just be read
        return [encode({"item_number": n, "session": raw}).decode() for n in item_numbers]


def _conform_item(number: int, item: Any) -> ParsedRow:
    row = ParsedRow({"item_number": number})
    if not isinstance(item, dict):
        row.problems.append(_expected("the item", "a JSON object", item))
        return row
    take = _Fields(item, row)
    take("song_id", _text, column="track_id")
    take("song_name", _text)
    take("artist_id", _text)
    take("artist_name", _text)
    take("price", _price)
    take("currency", _text)
    take("liked", _boolean)
    take("liked_since", _instant)
    return row


def conform_user(raw: str) -> ParsedUser:
    """Type one record of `/users`."""
    value, digest = _read(raw)
    row = ParsedRow({})
    if not isinstance(value, dict):
        row.problems.append(_expected("the record", "a JSON object", value))
        return ParsedUser(digest, row)
    take = _Fields(value, row)
    take("user_id", _text)
    take("user_name", _text)
    take("user_lastname", _text)
    take("user_since", _instant)
    location = value.get("user_location", _MISSING)
    if not isinstance(location, list) or len(location) != _LOCATION_PARTS:
        row.problems.append(_expected("user_location", "[latitude, longitude, place, country, timezone]", location))
    else:
        names = ("latitude", "longitude", "place_name", "country_code", "timezone")
        part = _Fields(dict(zip(names, location, strict=True)), row)
        for name in names:
            part(name, _degrees if name in ("latitude", "longitude") else _text)
            if part.sent[name] is None:
                row.problems.append(_expected(name, "text", None))
    return ParsedUser(digest, row, frozenset(value.keys() - USER_FIELDS))


def session_rows(line: str) -> Iterator[dict[str, Any]]:
    """A session's row, which carries its record, and one row per item unless the session is rejected already."""
    parsed = conform_session(line)
    yield {
        "digest": parsed.digest,
        "record": line,
        "item_count": len(parsed.items),
        "unknown": _shown(parsed.unknown_fields),
        "problems": _lines(parsed.row.problems),
        **parsed.row.values,
    }
    for item in parsed.items if not parsed.row.problems else ():
        yield {"digest": parsed.digest, "problems": _lines(item.problems), **parsed.row.values, **item.values}


def user_rows(line: str) -> Iterator[dict[str, Any]]:
    """A user's one row, which carries its record."""
    parsed = conform_user(line)
    yield {
        "digest": parsed.digest,
        "record": line,
        "unknown": _shown(parsed.unknown_fields),
        "problems": _lines(parsed.row.problems),
        **parsed.row.values,
    }


def _lines(problems: list[str]) -> str | None:
    """The problems of a row as the SQL adds to them: one a line (none of them has a line feed)."""
    return "\n".join(problems) or None


def _shown(unknown: frozenset[str]) -> str | None:
    """The first unknown fields as a JSON array: what they are called is the source's choice."""
    names = [name[:_NAME_SHOWN] for name in sorted(unknown)[:_UNKNOWN_SHOWN]]
    return encode(names).decode() if names else None


class _WrongTypeError(Exception):
    """The value is not what the column holds; carries what was expected."""


@dataclass(slots=True)
class _Fields:
    """Reads fields of one object into `row`; absent and null are NULL, what cannot be typed is a problem."""

    sent: dict[str, Any]
    row: ParsedRow

    def __call__(self, name: str, read: Callable[[Any], Any], *, column: str | None = None) -> None:
        value = self.sent.get(name)
        typed = None
        if value is not None:
            try:
                typed = read(value)
            except _WrongTypeError as expected:
                self.row.problems.append(_expected(name, str(expected), value))
        self.row.values[column or name] = typed


def _read(raw: str) -> tuple[Any, bytes]:
    try:
        value = decode(raw)
    except UNREADABLE:
        value = _UNREADABLE
    return value, content_digest(raw.encode())


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise _WrongTypeError("text")
    return value


def _session_text(value: Any) -> str:
    text = _text(value)
    if len(text) > _SESSION_TEXT_LIMIT:
        raise _WrongTypeError(f"text of at most {_SESSION_TEXT_LIMIT} characters")
    return text


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise _WrongTypeError("true or false")
    return value


def _instant(value: Any) -> datetime:
    instant = read_instant(value)
    if instant is None:
        raise _WrongTypeError("an ISO 8601 instant")
    return instant


def _price(value: Any) -> Decimal:
    # bool is an int in Python; a price of `true` is none.
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise _WrongTypeError("a JSON number")
    price = Decimal(value)
    # Not abs(): it rounds to the context's digits, and overflows on an exponent that a Decimal can hold.
    if price.copy_abs() >= _PRICE_LIMIT:
        raise _WrongTypeError("a number below 10,000,000,000")
    if price != price.quantize(_CENT):
        raise _WrongTypeError("at most 2 decimals")
    return price.quantize(_CENT)


def _degrees(value: Any) -> Decimal:
    """The API sends coordinates as text; silver keeps 8 decimals (a millimetre)."""
    # Decimal() takes more for a number: underscores, blanks and line ends, the digits of other scripts.
    if not _DEGREES.fullmatch(_text(value)):
        raise _WrongTypeError("degrees as text")
    try:
        degrees = Decimal(value).quantize(_DEGREE)
    except ArithmeticError:  # more digits than can be rounded
        raise _WrongTypeError("degrees as text") from None
    # What is kept has to fit: 999.999999999 is below the limit until it is rounded.
    if not degrees.is_finite() or abs(degrees) >= _DEGREE_LIMIT:
        raise _WrongTypeError("degrees as text")
    return degrees


def _expected(name: str, expected: str, got: Any) -> str:
    """A reason without personal data: the kind of what came, and its value only where it is a number."""
    if got is _MISSING or got is _UNREADABLE:
        shown = "nothing" if got is _MISSING else "text that cannot be read as JSON"
    elif got is None:
        shown = "null"
    elif isinstance(got, bool | int | Decimal):
        shown = f"{str(got)[:40]}"
    else:
        shown = "text" if isinstance(got, str) else f"an array of {len(got)}" if isinstance(got, list) else "an object"
    return f"{name}: expected {expected}, got {shown}"
