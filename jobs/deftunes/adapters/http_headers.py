"""What the headers of an answer say: when it was made, when to come back, where it goes on."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urljoin

import requests


def sent_at(response: requests.Response) -> datetime:
    """The server's clock; ours where it says nothing readable."""
    return _http_date(response.headers.get("Date")) or datetime.now(UTC)


def retry_after(response: requests.Response) -> float | None:
    """Seconds the server asks to wait: a number, or a date by its own clock."""
    text = response.headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return float(text)
    instant = _http_date(text)
    return max(0.0, (instant - sent_at(response)).total_seconds()) if instant else None


def next_link(response: requests.Response) -> str | None:
    """The address of the next page."""
    link = response.links.get("next", {}).get("url")
    return None if link is None else urljoin(response.url, link)


def has_framing(response: requests.Response) -> bool:
    """Whether the end of the body is marked; without that, a body cut before its first byte looks like an empty one."""
    return "Content-Length" in response.headers or "Transfer-Encoding" in response.headers


def _http_date(text: str | None) -> datetime | None:
    try:
        instant = parsedate_to_datetime(text or "")
    except ValueError:
        return None
    return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
