"""Failures of the connection: the transient ones are tried again, all others fail at once, each with its cause."""

import errno
import http.client
import socket
import ssl
import threading
from collections.abc import Iterator

import pytest
import requests
import urllib3

from deftunes.adapters.http import PurchaseApi
from deftunes.adapters.http_failures import http_failures
from deftunes.adapters.http_retry import TransientError
from deftunes.core.errors import DeftunesError, RetriableError
from support.api import StubApi, json_reply, stub_api

GOOD = json_reply({"user_id": "u"})


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def stub() -> Iterator[StubApi]:
    with stub_api() as stub:
        stub.otherwise = lambda _path, _query: GOOD
        yield stub


def failure(url: str, *, timeout: float = 2) -> DeftunesError:
    with PurchaseApi(url, "t0ken", budget=0, timeout=timeout) as api, pytest.raises(DeftunesError) as caught:
        api.users(lambda _records: None)
    assert "t0ken" not in str(caught.value)
    return caught.value


def closed_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def test_https_at_a_plain_port_is_final_and_says_tls(stub: StubApi) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(5)

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        error = failure(f"https://127.0.0.1:{server.getsockname()[1]}")
        thread.join()
    assert not isinstance(error, RetriableError)
    assert "TLS" in str(error)
    assert "wrong version number" in str(error) or "record layer failure" in str(error)


def test_a_port_that_speaks_no_http_is_final() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(b"SSH-2.0-OpenSSH_9.6\r\n")
                connection.recv(4096)

        thread = threading.Thread(target=answer)
        thread.start()
        error = failure(f"http://127.0.0.1:{server.getsockname()[1]}")
        thread.join()
    assert not isinstance(error, RetriableError)
    assert "no HTTP" in str(error)


def test_an_authority_that_is_not_there_is_final(stub: StubApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere/ca.pem")
    error = failure(stub.url.replace("http:", "https:"))
    assert not isinstance(error, RetriableError)
    assert "/nowhere/ca.pem" in str(error)


def test_a_proxy_that_needs_a_library_is_final(stub: StubApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://somebody:s3cret@127.0.0.1:9")
    error = failure(stub.url)
    assert not isinstance(error, RetriableError)
    assert "SOCKS" in str(error)
    assert "proxy 127.0.0.1:9" in str(error)
    assert "s3cret" not in str(error)


@pytest.mark.parametrize("proxy", ["http://somebody:s3cret@127.0.0.1:80a", "http://somebody:s3cret@", "ftp://s3cret@x"])
def test_a_proxy_that_is_no_address_is_final(stub: StubApi, monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    monkeypatch.setenv("HTTP_PROXY", proxy)
    monkeypatch.setenv("http_proxy", proxy)
    error = failure(stub.url)
    assert not isinstance(error, RetriableError)
    assert "s3cret" not in str(error)
    assert "HTTP_PROXY" in str(error)


def test_a_proxy_that_is_away_is_transient_and_is_named(stub: StubApi, monkeypatch: pytest.MonkeyPatch) -> None:
    port = closed_port()
    monkeypatch.setenv("HTTP_PROXY", f"http://somebody:s3cret@127.0.0.1:{port}")
    monkeypatch.setenv("http_proxy", f"http://somebody:s3cret@127.0.0.1:{port}")
    error = failure(stub.url)
    assert isinstance(error, RetriableError)
    assert f"refused), by the proxy 127.0.0.1:{port}" in str(error)
    assert "s3cret" not in str(error)


def test_a_proxy_that_makes_no_tunnel_is_final(stub: StubApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", stub.url)
    monkeypatch.setenv("https_proxy", stub.url)
    error = failure("https://purchases.example")
    assert not isinstance(error, RetriableError)
    assert f"HTTP 501, by the proxy {stub.url.removeprefix('http://')}" in str(error)


def test_a_name_that_nobody_knows_is_named() -> None:
    error = failure("http://purchases.invalid")
    assert "no address for the name purchases.invalid" in str(error)


def raised(inner: Exception) -> Exception:
    """As the libraries wrap it."""
    pool = urllib3.HTTPConnectionPool("host")
    match inner:
        case socket.gaierror():
            wrapped: Exception = urllib3.exceptions.NameResolutionError(
                "host", urllib3.connection.HTTPConnection("host"), inner
            )
            wrapped.__cause__ = inner
        case ssl.SSLError():
            wrapped = urllib3.exceptions.SSLError(inner)
        case http.client.HTTPException():
            return requests.exceptions.ConnectionError(urllib3.exceptions.ProtocolError("Connection aborted.", inner))
        case _:
            wrapped = urllib3.exceptions.NewConnectionError(urllib3.connection.HTTPConnection("host"), str(inner))
            wrapped.__cause__ = inner
    return requests.exceptions.ConnectionError(urllib3.exceptions.MaxRetryError(pool, "/", wrapped))


def tls(reason: str, kind: type[ssl.SSLError] = ssl.SSLError) -> ssl.SSLError:
    error = kind(1, f"[SSL: {reason}]")
    error.reason = reason
    return error


@pytest.mark.parametrize(
    ("inner", "transient", "words"),
    [
        *(
            (OSError(getattr(errno, name), name.lower()), True, name.lower())
            for name in (
                "ECONNREFUSED",
                "ECONNRESET",
                "EHOSTUNREACH",
                "ENETUNREACH",
                "EADDRNOTAVAIL",
                "EPIPE",
            )
        ),
        *(
            (OSError(getattr(errno, name), name.lower()), False, name.lower())
            for name in ("EMFILE", "EACCES", "EAFNOSUPPORT", "ENOMEM", "EPERM", "EINVAL")
        ),
        (socket.gaierror(socket.EAI_AGAIN, "try again"), True, "no address.*try again"),
        (socket.gaierror(socket.EAI_NONAME, "not known"), False, "no address.*not known"),
        (socket.gaierror(socket.EAI_FAIL, "cannot be"), False, "no address.*cannot be"),
        (tls("UNEXPECTED_EOF_WHILE_READING", ssl.SSLEOFError), True, "unexpected eof"),
        (tls("BAD_RECORD_MAC"), True, "bad record mac"),
        (tls("TLSV1_ALERT_INTERNAL_ERROR"), True, "internal error"),
        (tls("WRONG_VERSION_NUMBER"), False, "wrong version number"),
        (tls("TLSV1_ALERT_PROTOCOL_VERSION"), False, "protocol version"),
        (tls("SSLV3_ALERT_HANDSHAKE_FAILURE"), False, "handshake failure"),
        (tls("TLSV13_ALERT_CERTIFICATE_REQUIRED"), False, "certificate required"),
        (http.client.RemoteDisconnected("closed without response"), True, "closed without response"),
        (http.client.IncompleteRead(b"12", 3), True, "broke off"),
        (http.client.BadStatusLine("220 smtp"), False, "no HTTP"),
        (http.client.LineTooLong("header line"), False, "LineTooLong"),
        (http.client.HTTPException("got more than 100 headers"), False, "more than 100 headers"),
        (TimeoutError("timed out"), True, "no bytes within DEFTUNES_HTTP_TIMEOUT"),
    ],
    ids=lambda value: repr(value)[:60],
)
def test_each_cause_is_named_and_only_what_is_known_to_pass_is_transient(
    inner: Exception, transient: bool, words: str
) -> None:
    with pytest.raises((TransientError, DeftunesError), match=words) as caught, http_failures("http://host/users"):
        raise raised(inner)
    assert isinstance(caught.value, TransientError) == transient


def test_no_words_of_a_header_are_shown() -> None:
    error = requests.exceptions.InvalidHeader("Invalid header value: 'Bearer t0ken\\n'")
    with pytest.raises(DeftunesError, match="cannot be sent") as caught, http_failures("http://host/users"):
        raise error
    assert "t0ken" not in str(caught.value)
