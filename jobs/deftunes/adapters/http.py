"""The Purchase API over HTTP: each answer whole and checked, or an error.

    GET, again while it fails within the budget  ->  unnamed temporary file  ->  records  ->  the caller's `receive`

`receive` gets the records of a page after the page has arrived complete and valid, each once: a page that breaks off
is asked for again before anybody sees it. What was received counts only when the response is returned, after the last
page. What is not worth another try (a refusal, a complete answer that is no array of records) fails at once.
"""

import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from types import TracebackType
from typing import IO, Self
from urllib.parse import urlencode, urljoin, urlsplit

import requests
from requests.auth import AuthBase

from deftunes.adapters.http_failures import check_status, http_failures, redacted_url
from deftunes.adapters.http_headers import (
    ACCEPT_ENCODING,
    charset,
    has_framing,
    in_utf8,
    named_date,
    next_links,
    unknown_encodings,
)
from deftunes.adapters.http_links import UnreadableLinkError
from deftunes.adapters.http_pages import DEFAULT_BOUNDS, PageBounds, PageCounter
from deftunes.adapters.http_retry import SharedPause, TransientError, retrying
from deftunes.adapters.jsonarray import JsonArray, MalformedError, NotRecordsError, TruncatedError
from deftunes.core.clock import MAX_CLOCK_SKEW
from deftunes.core.errors import DeftunesError, RetriableError

_CHUNK = 1 << 20
_REDIRECTS = 5
_HTTP, _HTTPS = 80, 443

Receive = Callable[[list[bytes]], None]  # takes records, each as sent, on one line


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiResponse:
    """What is known of one complete answer, all its pages.

    `extracted_at` is the API's own clock (ours where it sends none), `received_at` is ours, `requests` what was asked,
    `bytes` what came, `tries` the number of HTTP requests that it took.
    """

    extracted_at: datetime
    received_at: datetime
    requests: tuple[str, ...]
    rows: int
    bytes: int
    tries: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Page:
    sent_at: datetime
    records: JsonArray
    next_url: str | None


class PurchaseApi:
    """The client. Threads may share it: each has a connection of its own.

    Args:
        base_url: what `/users` and `/sessions` are below, as settings hold it: checked, without a slash at the end.
        token: bearer token, sent to this host only; checked, too.
        budget: seconds a request is tried again, counted from its first failure.
        timeout: seconds to wait for a connection or for the next bytes; a long answer that keeps coming is not cut.
        dated: whether the API's clock dates its answers; otherwise ours does.
        pages: the bounds of an answer that has several.
        now: our clock.
        clock: seconds, for the budget only.
        sleep: waits between tries.

    """

    def __init__(
        self,
        base_url: str,
        token: str | None = None,
        *,
        budget: float,
        timeout: float,
        dated: bool = True,
        pages: PageBounds = DEFAULT_BOUNDS,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._base_url = base_url
        self._auth = _Bearer(base_url, token)
        self._budget = budget
        self._timeout = timeout
        self._dated = dated
        self._pages = pages
        self._now = now
        self._clock = clock
        self._sleep = sleep
        self._pause = SharedPause(clock, sleep)
        self._local = threading.local()
        self._connections: list[requests.Session] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        for connection in self._connections:
            connection.close()

    def users(self, receive: Receive) -> ApiResponse:
        """Every user. Without dates: with them the API filters by `user_since` and leaves earlier users out.

        Raises:
            RetriableError: the API was away or broke off for longer than the budget.
            DeftunesError: it refused, or its answer is no array of records.

        """
        return self._request("/users", {}, receive)

    def sessions(self, start: date, end: date, receive: Receive) -> ApiResponse:
        """The sessions that the API gives for these two dates, whatever it means by `end_date`.

        Raises:
            RetriableError: the API was away or broke off for longer than the budget.
            DeftunesError: it refused, or its answer is no array of records.

        """
        return self._request("/sessions", {"start_date": start.isoformat(), "end_date": end.isoformat()}, receive)

    def _request(self, path: str, query: dict[str, str], receive: Receive) -> ApiResponse:
        url: str | None = self._base_url + path + (f"?{urlencode(query)}" if query else "")
        pages = PageCounter(self._pages)
        instants: list[datetime] = []
        rows = size = tries = 0
        while url:
            pages.ask(url)
            page, attempts = self._retry(url)
            pages.receive(page.records, is_last=page.next_url is None)
            for records in page.records.lines():
                receive(records)
            instants.append(page.sent_at)
            rows += len(page.records)
            size += page.records.bytes
            tries += attempts
            url = page.next_url
        return ApiResponse(
            extracted_at=min(instants),
            received_at=self._now(),
            requests=tuple(map(redacted_url, pages.asked)),
            rows=rows,
            bytes=size,
            tries=tries,
        )

    def _retry(self, url: str) -> tuple[_Page, int]:
        """One page, and the number of tries that it took."""
        retry = retrying(self._budget, self._clock, self._sleep)
        try:
            page = retry(self._try, url)
        except TransientError as error:
            if error.is_interim:  # each time: this is how the server answers
                raise DeftunesError(
                    f"{redacted_url(url)}: expected HTTP 200, got {error} ahead of it, which this client cannot read "
                    f"past ({retry.statistics['attempt_number']} tries). Nothing was changed; ask the API's owner for "
                    "answers without interim ones (Early Hints), or look at the proxy between"
                ) from error
            raise RetriableError(
                f"{redacted_url(url)}: expected a JSON array, got {error} ({retry.statistics['attempt_number']} tries, "
                f"DEFTUNES_HTTP_BUDGET {self._budget:g} s). Nothing was changed; run the command again"
            ) from error
        return page, retry.statistics["attempt_number"]

    def _try(self, url: str) -> _Page:
        self._pause.wait()
        # Rows of customers: the file has no name, so it is gone with this process however that ends.
        with tempfile.TemporaryFile() as body:
            try:
                with self._get(url) as response:
                    check_status(response, url)
                    self._save(response, url, body)
                records = _records(body, response, url)
            except TransientError as error:
                # A wait beyond the budget ends the request, and with it the run: nobody need wait for that.
                if error.is_busy and error.retry_after is not None and error.retry_after <= self._budget:
                    self._pause.extend(error.retry_after)
                # Whatever of that answer is still to come must not be taken for the next one.
                self._connection().close()
                raise
        return _Page(sent_at=self._sent_at(response, url), records=records, next_url=self._next_url(response, url))

    def _sent_at(self, response: requests.Response, url: str) -> datetime:
        """What an answer is dated by. A clock may be behind ours for good; one ahead would shut out later answers."""
        now = self._now()
        sent_at = (named_date(response) if self._dated else None) or now
        if sent_at - now > MAX_CLOCK_SKEW:
            raise DeftunesError(
                f"{redacted_url(url)}: expected a Date of today, {now:%Y-%m-%d} by this machine's clock, got "
                f"{sent_at:%Y-%m-%d}. Nothing was changed. Have the clock corrected that is wrong, or date the answers "
                "by this machine's clock: DEFTUNES_HTTP_DATE=false"
            )
        return sent_at

    def _save(self, response: requests.Response, url: str, body: IO[bytes]) -> None:
        """Write the body to the file, decoded. A disk that is full is no failure of the API."""
        if unknown := ", ".join(unknown_encodings(response))[:80]:
            raise DeftunesError(
                f"{redacted_url(url)}: expected Content-Encoding {ACCEPT_ENCODING} or none, got {unknown}, which was "
                "not asked for. Nothing was changed; ask the API's owner, or look at the proxy between"
            )
        chunks = response.iter_content(_CHUNK)
        while True:
            with http_failures(url):
                chunk = next(chunks, None)
            if chunk is None:
                return
            body.write(chunk)

    def _next_url(self, response: requests.Response, url: str) -> str | None:
        try:
            links = next_links(response)
        except (UnreadableLinkError, ValueError):
            raise DeftunesError(
                f"{redacted_url(url)}: expected a Link header by RFC 8288, got one that names a next page and cannot "
                "be read. Nothing was changed; ask the API's owner"
            ) from None
        if len(links) > 1:
            raise DeftunesError(f"{redacted_url(url)}: expected one next page, got links to {len(links)}")
        if links and not self._auth.trusts(links[0]):
            raise DeftunesError(f"{redacted_url(url)}: expected the next page at the same host, got a link elsewhere")
        return links[0] if links else None

    def _get(self, url: str) -> requests.Response:
        """GET, with redirects followed by our rules: never from https to http, the token never to another host."""
        connection = self._connection()
        target = url
        for _ in range(_REDIRECTS + 1):
            with http_failures(target):
                response = connection.get(
                    target,
                    stream=True,
                    allow_redirects=False,
                    timeout=(self._timeout, self._timeout),
                    auth=self._auth,
                    headers={"Accept": "application/json", "Accept-Encoding": ACCEPT_ENCODING},
                )
            if not response.is_redirect:
                return response
            response.close()
            with http_failures(target):
                previous, target = target, urljoin(target, in_utf8(response.headers["Location"]))
            if urlsplit(target).scheme not in {"http", "https"} or (
                urlsplit(previous).scheme == "https" and urlsplit(target).scheme == "http"
            ):
                raise DeftunesError(
                    f"{redacted_url(url)}: expected a redirect to https, got one to an unprotected address"
                )
        raise DeftunesError(f"{redacted_url(url)}: expected an answer, got more than {_REDIRECTS} redirects")

    def _connection(self) -> requests.Session:
        connection: requests.Session | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = requests.Session()
            self._connections.append(connection)
        return connection


class _Bearer(AuthBase):
    """The token for our API's host and no other. Also keeps `requests` from taking credentials out of a .netrc."""

    def __init__(self, base_url: str, token: str | None) -> None:
        self._home = base_url
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._token and request.url and self.trusts(request.url):
            request.headers["Authorization"] = f"Bearer {self._token}"
        return request

    def trusts(self, url: str) -> bool:
        """Whether this is the API's own origin, or the same host upgraded to https."""
        try:
            home, there = _origin(self._home), _origin(url)
        except ValueError:  # a port that is none
            return False
        return there == home or (home == ("http", home[1], _HTTP) and there == ("https", home[1], _HTTPS))


def _origin(url: str) -> tuple[str, str | None, int]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or (_HTTPS if parts.scheme == "https" else _HTTP)


def _records(body: IO[bytes], response: requests.Response, url: str) -> JsonArray:
    """The records of a body.

    Raises:
        TransientError: it breaks off; another try may bring it whole.
        DeftunesError: it is complete and no array of records.

    """
    try:
        return JsonArray(body)
    except TruncatedError as error:
        raise TransientError(f"truncated JSON after {body.tell()} bytes ({error})") from error
    except MalformedError as error:
        claimed = charset(response)
        named = f"; the API calls it {claimed}" if claimed else ""
        raise _no_records(url, f"malformed JSON ({error}{named})", body.tell()) from error
    except NotRecordsError as error:
        size = body.tell()
        if not size and not has_framing(response):
            raise TransientError("an empty body of unknown length") from error
        raise _no_records(url, str(error), size) from error


def _no_records(url: str, got: str, size: int) -> DeftunesError:
    return DeftunesError(
        f"{redacted_url(url)}: expected a JSON array of records, got {got} ({size} bytes). "
        "Nothing was changed; check DEFTUNES_API_URL and ask the API's owner"
    )
