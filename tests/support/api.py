"""A purchase API that answers exactly what a test scripts, down to the bytes on the wire."""

import json
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

DATE = "Thu, 01 Jan 2026 12:00:00 GMT"
NOW = datetime(2026, 3, 1, tzinfo=UTC)  # our clock, where the API's says `DATE`


@dataclass(frozen=True)
class Reply:
    """One answer. `cut`: bytes of the body after which the connection ends; `reset`: ends before any byte."""

    body: bytes = b"[]"
    status: int = 200
    headers: Mapping[str, str | Sequence[str]] = field(default_factory=dict)  # several: as many headers
    framing: str = "length"  # length, chunked or none
    cut: int | None = None
    reset: bool = False
    delay: float = 0.0
    date: str | None = DATE

    def header_lines(self) -> Iterator[tuple[str, str]]:
        """Each header as it goes over the wire."""
        for name, value in self.headers.items():
            for each in [value] if isinstance(value, str) else value:
                yield name, each


def json_reply(*values: object, **options: object) -> Reply:
    """A reply with an array of these, as JSON."""
    return Reply(json.dumps(values, ensure_ascii=False).encode(), **options)  # type: ignore[arg-type]


@dataclass
class StubApi:
    """Replies in order of `script`, then whatever `otherwise` makes of (path, query). Remembers what was asked."""

    url: str = ""
    script: list[Reply] = field(default_factory=list)
    otherwise: Callable[[str, dict[str, str]], Reply] = lambda _path, _query: Reply()
    asked: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def next(self, target: str, headers: dict[str, str]) -> Reply:
        """The reply to a request."""
        with self.lock:
            self.asked.append(target)
            self.headers.append(headers)
            if self.script:
                return self.script.pop(0)
        parts = urlsplit(target)
        return self.otherwise(parts.path, dict(parse_qsl(parts.query)))


class _Server(ThreadingHTTPServer):
    """Says nothing of clients that turned away."""

    def handle_error(self, request: object, client_address: object) -> None:
        pass


@contextmanager
def stub_api(*script: Reply, tls: ssl.SSLContext | None = None) -> Iterator[StubApi]:
    """A stub on a free port of loopback, for the length of the context; behind TLS if a context is given."""
    stub = StubApi(script=list(script))

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            _send(self, stub.next(self.path, dict(self.headers)))

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    server = _Server(("127.0.0.1", 0), Handler)
    if tls:
        # The handshake belongs to the thread of the connection: a client that turns away must not stop the server.
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    stub.url = f"http{'s' if tls else ''}://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield stub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _send(handler: BaseHTTPRequestHandler, reply: Reply) -> None:
    handler.close_connection = True
    if reply.reset:
        handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        handler.connection.close()
        return
    handler.send_response_only(reply.status)
    if reply.date:
        handler.send_header("Date", reply.date)
    for name, value in reply.header_lines():
        handler.send_header(name, value)
    if reply.framing == "length":
        handler.send_header("Content-Length", str(len(reply.body)))
    elif reply.framing == "chunked":
        handler.send_header("Transfer-Encoding", "chunked")
    handler.send_header("Connection", "close")
    handler.end_headers()
    body = reply.body if reply.cut is None else reply.body[: reply.cut]
    pieces: Sequence[bytes] = [body[at : at + 100] for at in range(0, len(body), 100)] if reply.delay else [body]
    if reply.framing == "chunked":
        pieces = [b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces if piece]
        if reply.cut is None:
            pieces = [*pieces, b"0\r\n\r\n"]
    try:
        for piece in pieces:
            handler.wfile.write(piece)
            handler.wfile.flush()
            time.sleep(reply.delay)
    except ConnectionError:
        pass  # the client had enough
