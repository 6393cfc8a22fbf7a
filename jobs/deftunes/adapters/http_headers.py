"""What the headers of an answer say: when it was made, when to come back, where it goes on."""

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import requests

from deftunes.adapters.http_links import next_targets

ACCEPT_ENCODING = "gzip, deflate"
_DECODED = {"gzip", "x-gzip", "deflate", "identity"}  # x-gzip is gzip (RFC 9110, 8.4.1.3)
_CHARSET = re.compile(r"charset=[\"']?([^\s;\"']{1,40})", re.IGNORECASE)


def sent_at(response: requests.Response) -> datetime:
    """The server's clock; ours where it says nothing readable."""
    return named_date(response) or datetime.now(UTC)


def named_date(response: requests.Response) -> datetime | None:
    """The server's clock, if it says something readable."""
    return _http_date(response.headers.get("Date"))


def retry_after(response: requests.Response) -> float | None:
    """Seconds the server asks to wait: a number, or a date by its own clock."""
    text = response.headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return float(text)
    instant = _http_date(text)
    return max(0.0, (instant - sent_at(response)).total_seconds()) if instant else None


def next_links(response: requests.Response) -> list[str]:
    """The addresses that are named as the next page.

    Raises:
        UnreadableLinkError: a header speaks of a next page and cannot be read.
        ValueError: an address is none.

    """
    return next_targets(in_utf8(response.headers.get("Link", "")), response.url)


def in_utf8(header: str) -> str:
    """A header that was sent as UTF-8, which Python reads as Latin-1."""
    try:
        return header.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return header


def unknown_encodings(response: requests.Response) -> list[str]:
    """What the body is encoded in though nobody asked for it."""
    named = (name.strip().lower() for name in response.headers.get("Content-Encoding", "").split(","))
    return [name for name in named if name and name not in _DECODED]


def charset(response: requests.Response) -> str | None:
    """The charset that the answer claims; JSON is UTF-8 whatever it says (RFC 8259, 8.1 and 11)."""
    found = _CHARSET.search(response.headers.get("Content-Type", ""))
    return found[1] if found else None


def has_framing(response: requests.Response) -> bool:
    """Whether the end of the body is marked; without that, a body cut before its first byte looks like an empty one."""
    return "Content-Length" in response.headers or "Transfer-Encoding" in response.headers


def _http_date(text: str | None) -> datetime | None:
    try:
        instant = parsedate_to_datetime(text or "")
        return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError):  # its parser raises any of these
        return None
