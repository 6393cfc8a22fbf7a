"""The Purchase API over HTTP: each answer whole and checked, or an error.

    GET, again while it fails within the budget  ->  elements cut out of the array  ->  the caller's sink

A sink takes records while they arrive, so that work on them and the download overlap. What it took counts only when
the answer is returned, after every page has arrived complete and valid; if a try breaks off, the sink is closed and a
new one takes its place. So nothing that broke off can be taken for data. What is not worth another try (a refusal, a
complete answer that is no array of records) fails at once.
"""

import contextlib
import random
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import IO, Generic, Protocol, Self, TypeVar
from urllib.parse import urlencode, urljoin, urlsplit

import requests
from requests.auth import AuthBase

from deftunes.adapters.jsonarray import BLOCK, MalformedError, NotRecordsError, Splitter
from deftunes.core.errors import BadUsageError, DeftunesError, RetriableError

_FIRST_WAIT = 0.5
_LONGEST_WAIT = 8.0
_REDIRECTS = 5
_TOO_MANY_REQUESTS = 429
_HTTP, _HTTPS = 80, 443


class Sink(Protocol):
    """Where records go while they arrive."""

    def add(self, lines: bytes) -> None:
        """Take whole records, each as sent, on a line that a line feed ends."""

    def close(self) -> None:
        """Give back what it holds open; called once, whether its records count or not."""


S = TypeVar("S", bound=Sink)


@dataclass(frozen=True, slots=True)
class Answer(Generic[S]):
    """One answer of the API, all its pages.

    `extracted_at` is the API's own clock (ours where it sends none), `requests` what was asked, `bytes` what came,
    `tries` the number of HTTP requests that it took.
    """

    sink: S
    extracted_at: datetime
    requests: tuple[str, ...]
    rows: int
    bytes: int
    tries: int


class _Download(Generic[S]):
    """The pages so far, and what it takes to begin one of them again."""

    def __init__(self, make_sink: Callable[[], S]) -> None:
        self._make_sink = make_sink
        self.sink = make_sink()
        # Rows of customers: the file has no name, so it is gone with this process however that ends.
        self._spool: IO[bytes] = tempfile.TemporaryFile(buffering=BLOCK)  # noqa: SIM115 - closed by close()
        self._kept = 0
        self.pages: list[_Page] = []
        self.tries = 0

    def add(self, lines: bytes, *, keep: bool) -> None:
        """Hand records on; `keep` those of an answer with further pages, which may break off later."""
        self.sink.add(lines)
        if keep:
            self._spool.write(lines)

    def end_page(self, page: "_Page") -> None:
        """The page is whole."""
        self.pages.append(page)
        self._kept = self._spool.tell()

    def rewind(self) -> None:
        """Forget the page that broke off: a new sink gets the pages before it."""
        self.sink.close()
        self.sink = self._make_sink()
        self._spool.seek(self._kept)
        self._spool.truncate()
        self._spool.seek(0)
        for lines in iter(lambda: self._spool.readlines(BLOCK), []):
            self.sink.add(b"".join(lines))

    def close(self) -> None:
        """Forget the spool."""
        self._spool.close()


@dataclass(frozen=True, slots=True)
class _Page:
    requested: str
    sent_at: datetime
    rows: int
    bytes: int
    next_url: str | None


class _BrokenError(Exception):
    """One try failed, another may not. `retry_after`: seconds the server asked for."""

    def __init__(self, got: str, retry_after: float | None = None) -> None:
        super().__init__(got)
        self.retry_after = retry_after


class PurchaseApi:
    """The client. Threads may share it: each has a connection of its own.

    Args:
        base_url: what `/users` and `/sessions` are below.
        token: bearer token, sent to this host only.
        budget: seconds a request is tried again, counted from its first failure.
        timeout: seconds to wait for a connection or for the next bytes; a long answer that keeps coming is not cut.
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
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        parts = urlsplit(base_url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise BadUsageError("DEFTUNES_API_URL: expected http://HOST or https://HOST, got something else")
        if parts.username or parts.password:
            raise BadUsageError("DEFTUNES_API_URL: expected no credentials in it; DEFTUNES_API_TOKEN takes the token")
        self._base_url = base_url.rstrip("/")
        self._auth = _Bearer(base_url, token)
        self._budget = budget
        self._timeout = timeout
        self._clock = clock
        self._sleep = sleep
        self._local = threading.local()
        self._sessions: list[requests.Session] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        for session in self._sessions:
            session.close()

    def users(self, make_sink: Callable[[], S]) -> Answer[S]:
        """Every user. Without dates: with them the API filters by `user_since` and leaves earlier users out.

        Raises:
            RetriableError: the API was away or broke off for longer than the budget.
            DeftunesError: it refused, or its answer is no array of records.

        """
        return self._ask("/users", {}, make_sink)

    def sessions(self, start: date, end: date, make_sink: Callable[[], S]) -> Answer[S]:
        """The sessions that the API gives for these two dates, whatever it means by `end_date`.

        Raises:
            RetriableError: the API was away or broke off for longer than the budget.
            DeftunesError: it refused, or its answer is no array of records.

        """
        return self._ask("/sessions", {"start_date": start.isoformat(), "end_date": end.isoformat()}, make_sink)

    def _ask(self, path: str, query: dict[str, str], make_sink: Callable[[], S]) -> Answer[S]:
        url: str | None = self._base_url + path + (f"?{urlencode(query)}" if query else "")
        seen: set[str] = set()
        with contextlib.closing(_Download(make_sink)) as download, contextlib.ExitStack() as on_failure:
            on_failure.callback(lambda: download.sink.close())  # noqa: PLW0108 - the sink that is there by then
            while url:
                if url in seen:
                    raise DeftunesError(f"{_shown(url)}: expected a further page, got a link back to this one")
                seen.add(url)
                url = self._persist(url, download)
            on_failure.pop_all()
        pages = download.pages
        return Answer(
            download.sink,
            min(page.sent_at for page in pages),
            tuple(page.requested for page in pages),
            sum(page.rows for page in pages),
            sum(page.bytes for page in pages),
            download.tries,
        )

    def _persist(self, url: str, download: _Download[S]) -> str | None:
        """Add one page, trying until the budget is spent; return the next page's address."""
        deadline: float | None = None
        for failures in range(1_000_000):
            download.tries += 1
            try:
                page = self._try(url, download)
            except _BrokenError as broken:
                now = self._clock()
                deadline = now + self._budget if deadline is None else deadline
                wait = _wait(failures, broken.retry_after)
                left = deadline - now
                # Waiting less than the server asked for would only add to its load.
                if left <= 0 or (broken.retry_after or 0) > left:
                    raise RetriableError(
                        f"{_shown(url)}: expected a JSON array, got {broken} ({failures + 1} tries, "
                        f"DEFTUNES_HTTP_BUDGET {self._budget:g} s). Nothing was changed; run the command again"
                    ) from broken
                download.rewind()
                self._sleep(min(wait, left))
            else:
                download.end_page(page)
                return page.next_url
        raise AssertionError("the budget ends before the tries do")

    def _try(self, url: str, download: _Download[S]) -> _Page:
        try:
            with self._get(url) as response:
                self._check(response, url)
                return _read(response, url, download, _next_url(response, url, self._auth))
        except requests.exceptions.SSLError as error:
            if "CERTIFICATE_VERIFY_FAILED" in str(error):
                raise DeftunesError(
                    f"{_shown(url)}: expected a certificate of a known authority for {urlsplit(url).hostname}, got one "
                    "that does not verify. REQUESTS_CA_BUNDLE names an authority of your own"
                ) from error
            raise _BrokenError(_reason(error)) from error
        except requests.RequestException as error:
            raise _BrokenError(_reason(error)) from error

    def _get(self, url: str) -> requests.Response:
        """GET, with redirects followed by our rules: never from https to http, the token never to another host."""
        session = self._session()
        target = url
        for _ in range(_REDIRECTS + 1):
            response = session.get(
                target,
                stream=True,
                allow_redirects=False,
                timeout=(self._timeout, self._timeout),
                auth=self._auth,
                headers={"Accept": "application/json"},
            )
            if not response.is_redirect:
                return response
            response.close()
            previous, target = target, urljoin(target, response.headers["Location"])
            if urlsplit(target).scheme not in {"http", "https"} or (
                urlsplit(previous).scheme == "https" and urlsplit(target).scheme == "http"
            ):
                raise DeftunesError(f"{_shown(url)}: expected a redirect to https, got one to an unprotected address")
        raise DeftunesError(f"{_shown(url)}: expected an answer, got more than {_REDIRECTS} redirects")

    def _check(self, response: requests.Response, url: str) -> None:
        status = response.status_code
        if status == requests.codes.ok:
            return
        got = f"HTTP {status}"
        if status == _TOO_MANY_REQUESTS or status >= requests.codes.server_error:
            raise _BrokenError(got, _retry_after(response))
        if status in {requests.codes.unauthorized, requests.codes.forbidden}:
            raise DeftunesError(
                f"{_shown(url)}: expected HTTP 200, got {got}: the API wants another token. Set DEFTUNES_API_TOKEN"
            )
        raise DeftunesError(f"{_shown(url)}: expected HTTP 200, got {got}. Check DEFTUNES_API_URL")

    def _session(self) -> requests.Session:
        session: requests.Session | None = getattr(self._local, "session", None)
        if session is None:
            session = self._local.session = requests.Session()
            self._sessions.append(session)
        return session


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
        home, there = _origin(self._home), _origin(url)
        return there == home or (home == ("http", home[1], _HTTP) and there == ("https", home[1], _HTTPS))


def _next_url(response: requests.Response, url: str, auth: _Bearer) -> str | None:
    link = response.links.get("next", {}).get("url")
    if link is None:
        return None
    next_url = urljoin(response.url, link)
    if not auth.trusts(next_url):
        raise DeftunesError(f"{_shown(url)}: expected the next page at the same host, got a link elsewhere")
    return next_url


def _read(response: requests.Response, url: str, download: _Download[S], next_url: str | None) -> _Page:
    """Hand the body's records on.

    Raises:
        _BrokenError: it broke off or is no JSON; another try may bring it whole.
        DeftunesError: it is complete and no array of records.

    """
    splitter = Splitter()
    keep = bool(next_url or download.pages)
    size = 0
    try:
        for chunk in response.iter_content(BLOCK):
            size += len(chunk)
            if lines := splitter.feed(chunk):
                download.add(lines, keep=keep)
        download.add(splitter.finish(), keep=keep)
    except MalformedError as error:
        raise _BrokenError(f"malformed or truncated JSON after {size} bytes ({error})") from error
    except NotRecordsError as error:
        framed = "Content-Length" in response.headers or "Transfer-Encoding" in response.headers
        if not size and not framed:
            # Without a length, an answer cut before its first byte looks the same as an empty one.
            raise _BrokenError("an empty body of unknown length") from error
        raise DeftunesError(
            f"{_shown(url)}: expected a JSON array of records, got {error} ({size} bytes). Nothing was changed; "
            "check DEFTUNES_API_URL and ask the API's owner"
        ) from error
    return _Page(_shown(url), _sent_at(response), splitter.rows, size, next_url)


def _sent_at(response: requests.Response) -> datetime:
    return _http_date(response.headers.get("Date")) or datetime.now(UTC)


def _http_date(text: str | None) -> datetime | None:
    try:
        instant = parsedate_to_datetime(text or "")
    except ValueError:
        return None
    return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)


def _retry_after(response: requests.Response) -> float | None:
    """Seconds the server asks to wait: a number, or a date by its own clock."""
    text = response.headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return float(text)
    instant = _http_date(text)
    return max(0.0, (instant - _sent_at(response)).total_seconds()) if instant else None


def _wait(failures: int, retry_after: float | None) -> float:
    """Exponential, with jitter so that threads that failed together do not come back together."""
    if retry_after is not None and retry_after >= _FIRST_WAIT:
        return retry_after + random.uniform(0, _FIRST_WAIT)  # noqa: S311 - no secret
    longest = min(_LONGEST_WAIT, 2 * _FIRST_WAIT * 2.0 ** min(failures, 10))
    return random.uniform(longest / 2, longest)  # noqa: S311 - no secret


def _origin(url: str) -> tuple[str, str | None, int]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or (_HTTPS if parts.scheme == "https" else _HTTP)


def _shown(url: str) -> str:
    """The request as logs and receipts show it: no host, so never a credential."""
    parts = urlsplit(url)
    return f"GET {parts.path}{f'?{parts.query}' if parts.query else ''}"


def _reason(error: requests.RequestException) -> str:
    match error:
        case requests.exceptions.Timeout():
            return "no bytes within DEFTUNES_HTTP_TIMEOUT"
        case requests.exceptions.ChunkedEncodingError() | requests.exceptions.ContentDecodingError():
            return "an answer that broke off"
        case requests.exceptions.SSLError():
            return "a TLS connection that failed"
        case _:
            return "no connection, or one that was reset"
