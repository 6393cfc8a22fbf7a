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
from datetime import date, datetime
from types import TracebackType
from typing import IO, Self
from urllib.parse import urlencode, urljoin, urlsplit

import requests
from requests.auth import AuthBase

from deftunes.adapters.http_headers import has_framing, next_link, retry_after, sent_at
from deftunes.adapters.http_retry import TransientError, retrying
from deftunes.adapters.jsonarray import JsonArray, MalformedError, NotRecordsError
from deftunes.core.errors import BadUsageError, DeftunesError, RetriableError

_CHUNK = 1 << 20
_REDIRECTS = 5
# Refusals that pass by themselves, as the server's own errors (5xx) do.
_TRANSIENT_STATUSES = frozenset({requests.codes.too_many_requests})
_UNAUTHORIZED_STATUSES = frozenset({requests.codes.unauthorized, requests.codes.forbidden})
_HTTP, _HTTPS = 80, 443

Receive = Callable[[list[bytes]], None]  # takes records, each as sent, on one line


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiResponse:
    """What is known of one complete answer, all its pages.

    `extracted_at` is the API's own clock (ours where it sends none), `requests` what was asked, `bytes` what came,
    `tries` the number of HTTP requests that it took.
    """

    extracted_at: datetime
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
        asked: list[str] = []
        instants: list[datetime] = []
        rows = size = tries = 0
        while url:
            if url in asked:
                raise DeftunesError(f"{redacted_url(url)}: expected a further page, got a link back to this one")
            asked.append(url)
            page, attempts = self._retry(url)
            for records in page.records.lines():
                receive(records)
            instants.append(page.sent_at)
            rows += len(page.records)
            size += page.records.bytes
            tries += attempts
            url = page.next_url
        return ApiResponse(
            extracted_at=min(instants),
            requests=tuple(map(redacted_url, asked)),
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
            raise RetriableError(
                f"{redacted_url(url)}: expected a JSON array, got {error} ({retry.statistics['attempt_number']} tries, "
                f"DEFTUNES_HTTP_BUDGET {self._budget:g} s). Nothing was changed; run the command again"
            ) from error
        return page, retry.statistics["attempt_number"]

    def _try(self, url: str) -> _Page:
        # Rows of customers: the file has no name, so it is gone with this process however that ends.
        with tempfile.TemporaryFile() as body:
            try:
                with self._get(url) as response:
                    _check_status(response, url)
                    next_url = self._next_url(response, url)
                    for chunk in response.iter_content(_CHUNK):
                        body.write(chunk)
            except requests.RequestException as error:
                raise _translate_error(error, url) from error
            records = _read(body, url, framed=has_framing(response))
        return _Page(sent_at=sent_at(response), records=records, next_url=next_url)

    def _next_url(self, response: requests.Response, url: str) -> str | None:
        next_url = next_link(response)
        if next_url and not self._auth.trusts(next_url):
            raise DeftunesError(f"{redacted_url(url)}: expected the next page at the same host, got a link elsewhere")
        return next_url

    def _get(self, url: str) -> requests.Response:
        """GET, with redirects followed by our rules: never from https to http, the token never to another host."""
        connection = self._connection()
        target = url
        for _ in range(_REDIRECTS + 1):
            response = connection.get(
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
        home, there = _origin(self._home), _origin(url)
        return there == home or (home == ("http", home[1], _HTTP) and there == ("https", home[1], _HTTPS))


def _origin(url: str) -> tuple[str, str | None, int]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or (_HTTPS if parts.scheme == "https" else _HTTP)


def redacted_url(url: str) -> str:
    """The request as logs and receipts show it: no host, so never a credential."""
    parts = urlsplit(url)
    return f"GET {parts.path}{f'?{parts.query}' if parts.query else ''}"


def _check_status(response: requests.Response, url: str) -> None:
    """Let only 200 pass.

    Raises:
        TransientError: the server is busy or broken.
        DeftunesError: it refused.

    """
    status = response.status_code
    if status == requests.codes.ok:
        return
    if status in _TRANSIENT_STATUSES or status >= requests.codes.server_error:
        raise TransientError(f"HTTP {status}", retry_after(response))
    if status in _UNAUTHORIZED_STATUSES:
        raise DeftunesError(
            f"{redacted_url(url)}: expected HTTP 200, got HTTP {status}: the API wants another token. "
            "Set DEFTUNES_API_TOKEN"
        )
    raise DeftunesError(f"{redacted_url(url)}: expected HTTP 200, got HTTP {status}. Check DEFTUNES_API_URL")


def _read(body: IO[bytes], url: str, *, framed: bool) -> JsonArray:
    """The records of a body.

    Raises:
        TransientError: it broke off or is no JSON; another try may bring it whole.
        DeftunesError: it is complete and no array of records.

    """
    try:
        return JsonArray(body)
    except MalformedError as error:
        raise TransientError(f"malformed or truncated JSON after {body.tell()} bytes ({error})") from error
    except NotRecordsError as error:
        size = body.tell()
        if not size and not framed:
            raise TransientError("an empty body of unknown length") from error
        raise DeftunesError(
            f"{redacted_url(url)}: expected a JSON array of records, got {error} ({size} bytes). "
            "Nothing was changed; check DEFTUNES_API_URL and ask the API's owner"
        ) from error


def _translate_error(error: requests.RequestException, url: str) -> TransientError | DeftunesError:
    """A failed connection is worth another try, a certificate that does not verify is not."""
    if isinstance(error, requests.exceptions.SSLError) and "CERTIFICATE_VERIFY_FAILED" in str(error):
        return DeftunesError(
            f"{redacted_url(url)}: expected a certificate of a known authority for {urlsplit(url).hostname}, got one "
            "that does not verify. REQUESTS_CA_BUNDLE names an authority of your own"
        )
    return TransientError(_describe_error(error))


def _describe_error(error: requests.RequestException) -> str:
    match error:
        case requests.exceptions.Timeout():
            return "no bytes within DEFTUNES_HTTP_TIMEOUT"
        case requests.exceptions.ChunkedEncodingError() | requests.exceptions.ContentDecodingError():
            return "an answer that broke off"
        case requests.exceptions.SSLError():
            return "a TLS connection that failed"
        case _:
            return "no connection, or one that was reset"
