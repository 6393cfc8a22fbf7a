"""A proxy in front of a real S3 that answers as it is told: any of S3's codes, a reset, or what the S3 says."""

import http.client
import threading
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

RESET = "reset"
_HOP_BY_HOP = {"connection", "content-length", "transfer-encoding"}


class FaultyS3:
    """`url` is its address. `fail` says what it answers to the requests that `when` picks, at most `times`."""

    def __init__(self, upstream: str | None = None) -> None:
        self.sent = 0
        self.behind(upstream)
        self._lock = threading.Lock()
        self.work()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()

    def behind(self, upstream: str | None) -> None:
        """Pass on to this S3 what is not to fail."""
        self._upstream = urlsplit(upstream) if upstream else None

    def fail(
        self, code: str, status: int = 400, *, times: int = 10**9, when: Callable[[str, str], bool] | None = None
    ) -> None:
        """Answer with this code; `when` gets the method and the path."""
        self.sent, self._code, self._status, self._left = 0, code, status, times
        self._when = when or (lambda *_: True)

    def work(self) -> None:
        """Answer as the S3 behind does."""
        self.fail("", times=0)

    def _next(self, method: str, path: str) -> bool:
        with self._lock:
            if self._left <= 0 or not self._when(method, path):
                return False
            self._left -= 1
            self.sent += 1
            return True

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None: ...

            def answer(self) -> None:
                body = _body(self)
                if proxy._next(self.command, self.path):
                    self.refuse()
                else:
                    self.forward(body)

            def refuse(self) -> None:
                if proxy._code == RESET:
                    self.close_connection = True
                    return
                text = f"<Error><Code>{proxy._code}</Code><Message>said so</Message></Error>" if proxy._code else ""
                self.reply(proxy._status, [("Content-Type", "application/xml")], text.encode())

            def forward(self, body: bytes) -> None:
                assert proxy._upstream
                connection = http.client.HTTPConnection(proxy._upstream.hostname or "", proxy._upstream.port)
                kept = {name: value for name, value in self.headers.items() if name.lower() not in _HOP_BY_HOP}
                connection.request(self.command, self.path, body or None, kept)
                answer = connection.getresponse()
                content = answer.read()
                headers = [(name, value) for name, value in answer.getheaders() if name.lower() not in _HOP_BY_HOP]
                length = answer.getheader("Content-Length") if self.command == "HEAD" else None
                self.reply(answer.status, headers, content, length)
                connection.close()

            def reply(
                self, status: int, headers: list[tuple[str, str]], body: bytes, length: str | None = None
            ) -> None:
                with suppress(OSError):
                    self.send_response_only(status)
                    for name, value in headers:
                        self.send_header(name, value)
                    self.send_header("Content-Length", length or str(len(body)))
                    self.end_headers()
                    if self.command != "HEAD":
                        self.wfile.write(body)

            do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = answer  # noqa: N815

        return Handler


def _body(request: BaseHTTPRequestHandler) -> bytes:
    """The body of a request; Arrow's client sends it in chunks and tells no length."""
    if request.headers.get("Transfer-Encoding") != "chunked":
        return request.rfile.read(int(request.headers.get("Content-Length") or 0))
    chunks = []
    while size := int(request.rfile.readline().split(b";")[0], 16):
        chunks.append(request.rfile.read(size))
        request.rfile.readline()
    while request.rfile.readline().strip():
        pass
    return b"".join(chunks)
