"""Which failures of HTTP are transient, and what each is called: the one table of this protocol.

What is not listed as transient is final: it fails at once, with the cause that the server, the socket, TLS or the
resolver named. Words never come from where a secret can be: a header, a proxy's address, a query.
"""

import errno
import http.client
import re
import socket
import ssl
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import parse_qsl, quote, urlsplit

import requests
import urllib3

from deftunes.adapters.http_headers import retry_after
from deftunes.adapters.http_retry import TransientError
from deftunes.core.errors import DeftunesError

_SERVER_ERROR = 500
_TRANSIENT_STATUSES = {
    408: "Request Timeout",  # RFC 9110, 15.5.9: the client may repeat the request
    421: "Misdirected Request",  # RFC 9110, 15.5.20: ... over another connection; every try of ours has its own
    425: "Too Early",  # RFC 8470, 5.2
    429: "Too Many Requests",  # RFC 6585, 4
}
# Their Retry-After is for the client, not for this one request (RFC 9110, 15.6.4; RFC 6585, 4).
_BUSY = {429, 503}
# Any other 5xx is as a 500 (RFC 9110, 15), and passes. These speak of the request or of how the server is set up.
_FINAL_SERVER_ERRORS = {
    501: "Not Implemented",
    505: "HTTP Version Not Supported",
    506: "Variant Also Negotiates",
    508: "Loop Detected",
    510: "Not Extended",
    511: "Network Authentication Required: a network's login page answers in the API's place",
}
_TRANSIENT_ERRNOS = {  # connect(2), recv(2), ip(7): the peer, the way to it, or the ports of this machine
    errno.ECONNREFUSED, errno.ECONNRESET, errno.ECONNABORTED, errno.EPIPE, errno.ETIMEDOUT, errno.EHOSTUNREACH,
    errno.EHOSTDOWN, errno.ENETUNREACH, errno.ENETDOWN, errno.ENETRESET, errno.EADDRNOTAVAIL, errno.ENOBUFS,
    errno.EAGAIN,
}  # fmt: skip
_TRANSIENT_RESOLVER_ERRORS = {socket.EAI_AGAIN}  # getaddrinfo(3): the name server did not answer
_TRANSIENT_TLS = {  # OpenSSL's names; RFC 8446, 6.2: a damaged record, an error "unrelated to the peer"
    "UNEXPECTED_EOF_WHILE_READING", "BAD_RECORD_MAC", "DECRYPTION_FAILED_OR_BAD_RECORD_MAC",
    "SSLV3_ALERT_BAD_RECORD_MAC", "TLSV1_ALERT_INTERNAL_ERROR",
}  # fmt: skip
_TRANSIENT = (  # nothing came, or not all of it
    TimeoutError, ConnectionError, urllib3.exceptions.TimeoutError, requests.exceptions.Timeout,
    http.client.IncompleteRead,
)  # fmt: skip
_ADVICE = {
    202: "the API is still making the answer and says to come back, but not when. Ask its owner for a request that is "
    "answered at once",
    204: "no content, where a list without records is []. Ask the API's owner",
    206: "a part of the answer, which nobody asked for. Ask the API's owner",
    401: "the API wants another token. Set DEFTUNES_API_TOKEN",
    403: "the API wants another token. Set DEFTUNES_API_TOKEN",
    407: "the proxy wants a login. Put it into HTTP_PROXY or HTTPS_PROXY",
}
_WHAT_COMES = {202: " (the API is still making the answer)"}
_TUNNEL = re.compile(r"Tunnel connection failed: (\d{3})")
_SECRET_NAME = re.compile(r"token|key|secret|sig|passw|auth|credential", re.IGNORECASE)
_NOT_ZLIB = "incorrect header check"
_SETTINGS = "Check DEFTUNES_API_URL, REQUESTS_CA_BUNDLE, HTTP_PROXY and HTTPS_PROXY"
_LONGEST_WORDS = 200


@contextmanager
def http_failures(url: str) -> Iterator[None]:
    """Translate what the client library raises while it asks for `url`.

    Raises:
        TransientError: another try may bring the answer.
        DeftunesError: no try will.

    """
    try:
        yield
    # TypeError is what requests makes of a proxy's address without a host.
    except (OSError, ValueError, TypeError, urllib3.exceptions.HTTPError, http.client.HTTPException) as error:
        raise _translated(error, url) from error


def check_status(response: requests.Response, url: str) -> None:
    """Let only 200 pass, with headers that could all be read.

    Raises:
        TransientError: the server is busy or broken.
        DeftunesError: it refused, or wrote a line among its headers that is none.

    """
    _check_headers(response, url)
    status = response.status_code
    if status == requests.codes.ok:
        return
    wait = retry_after(response)
    if _is_transient(status) or (status == requests.codes.accepted and wait is not None):
        raise TransientError(
            f"HTTP {status}{_WHAT_COMES.get(status, '')}",
            wait,
            is_busy=status in _BUSY,
            is_interim=status < requests.codes.ok,
        )
    advice = _ADVICE.get(status) or _FINAL_SERVER_ERRORS.get(status)
    explained = f": {advice}" if advice else ". Check DEFTUNES_API_URL"
    raise DeftunesError(f"{redacted_url(url)}: expected HTTP 200, got HTTP {status}{explained}")


def _check_headers(response: requests.Response, url: str) -> None:
    """Python reads headers to the first line that is none, and takes the rest for a body that nobody sees."""
    message = getattr(getattr(response.raw, "_original_response", None), "msg", None)
    if message is not None and message.get_payload():
        raise DeftunesError(
            f"{redacted_url(url)}: expected header lines by RFC 9112, got one that is none; what stands behind it (a "
            "next page, a date) would be lost. Nothing was changed; ask the API's owner, or look at the proxy between"
        )


def redacted_url(url: str) -> str:
    """The request as logs and receipts show it: no host, and no value that can be a credential."""
    parts = urlsplit(url)
    if not _SECRET_NAME.search(parts.query):
        return f"GET {parts.path}{f'?{parts.query}' if parts.query else ''}"
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    shown = (f"{quote(name)}={'***' if _SECRET_NAME.search(name) else quote(value)}" for name, value in pairs)
    return f"GET {parts.path}?{'&'.join(shown)}"


def _is_transient(status: int) -> bool:
    # An interim answer (1xx) that came instead of the final one: what follows on its connection is lost.
    return (
        status < requests.codes.ok
        or status in _TRANSIENT_STATUSES
        or (status >= _SERVER_ERROR and status not in _FINAL_SERVER_ERRORS)
    )


def _translated(error: Exception, url: str) -> TransientError | DeftunesError:
    root = _root(error)
    proxy = _proxy_of(url)
    tunnel = _TUNNEL.search(str(root)) if isinstance(root, OSError) else None
    if tunnel:
        status = int(tunnel[1])
        words, transient = f"HTTP {status}", _is_transient(status)
        advice = _ADVICE.get(status, "Check HTTPS_PROXY")
    else:
        words, transient = _words(root, proxy or urlsplit(url).hostname), _passes(root)
        advice = "Check DEFTUNES_API_URL" if isinstance(root, ssl.SSLError | socket.gaierror) else _SETTINGS
    words += f", by the proxy {proxy}" if proxy else ""
    if transient or isinstance(error, requests.exceptions.ChunkedEncodingError):
        return TransientError(words)
    expected = "an answer"
    if isinstance(root, ssl.SSLCertVerificationError):
        expected = f"a certificate of a known authority for {urlsplit(url).hostname}"
        advice = "REQUESTS_CA_BUNDLE names an authority of your own"
    return DeftunesError(f"{redacted_url(url)}: expected {expected}, got {words}. Nothing was changed. {advice}")


def _root(error: BaseException) -> BaseException:
    """What lies at the bottom: the libraries wrap it up to four times."""
    inner = [error.__cause__, getattr(error, "reason", None), *error.args]
    found = next((each for each in inner if isinstance(each, BaseException)), None)
    return error if found is None else _root(found)


def _passes(root: BaseException) -> bool:
    """Whether this passes by itself."""
    match root:
        case ssl.SSLError():
            transient = isinstance(root, ssl.SSLEOFError | ssl.SSLZeroReturnError) or root.reason in _TRANSIENT_TLS
        case socket.gaierror():
            transient = root.errno in _TRANSIENT_RESOLVER_ERRORS
        case zlib.error():
            # A body that begins as its Content-Encoding says was damaged on its way.
            transient = _NOT_ZLIB not in str(root)
        case OSError() if not isinstance(root, TimeoutError | ConnectionError):
            transient = root.errno in _TRANSIENT_ERRNOS
        case _:
            transient = isinstance(root, _TRANSIENT)
    return transient


def _words(root: BaseException, host: str | None) -> str:
    """What went wrong, with the cause that was named."""
    match root:
        case ssl.SSLCertVerificationError():
            words = f"one that does not verify ({root.verify_message})"
        case ssl.SSLError():
            reason = (root.reason or root.strerror or type(root).__name__).lower().replace("_", " ")
            words = f"a TLS connection that failed ({reason})"
        case socket.gaierror():
            words = f"no address for the name {host} ({root.strerror})"
        case zlib.error():
            words = "a body that is not in the Content-Encoding that it names"
        case http.client.BadStatusLine() if not isinstance(root, ConnectionError):
            words = "something that is no HTTP: another service, or TLS, at this port"
        case requests.exceptions.InvalidHeader():
            words = "a header that cannot be sent"  # its words hold the header, and so the token
        case TimeoutError() | urllib3.exceptions.TimeoutError() | requests.exceptions.Timeout():
            words = "no bytes within DEFTUNES_HTTP_TIMEOUT"
        case http.client.IncompleteRead():
            words = "an answer that broke off"
        case OSError() if _passes(root):
            words = f"no connection, or one that was reset ({root.strerror or root})"
        case _:
            # An address with a login in it: of a proxy, most likely.
            text = "" if "@" in str(root) else f": {str(root)[:_LONGEST_WORDS]}".rstrip(": ")
            words = f"{type(root).__name__}{text}"
    return words


def _proxy_of(url: str) -> str | None:
    """The proxy that the environment names for `url`, without its login."""
    try:
        proxy = requests.utils.select_proxy(url, requests.utils.get_environ_proxies(url, no_proxy=None))
        if not proxy:
            return None
        parts = urlsplit(proxy if "://" in proxy else f"//{proxy}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host:
        return "that the environment names"
    return f"{host}:{port}" if port else host
