"""An answer on the wire: streamed, paced, or broken off on purpose."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from purchase_api.faults import Fault, Kind

_PER_PIECE = 256
_BROKEN_OFF = {Kind.RESET, Kind.RESET_MIDWAY, Kind.TRUNCATED_LENGTH, Kind.TRUNCATED_CHUNKED}

# By the client's address: ASGI has no way to reset a connection.
_transports: dict[object, asyncio.Transport] = {}


class TrackedProtocol(H11Protocol):
    """HTTP that remembers its connections, for `Answer` to reset them."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Remember the connection."""
        super().connection_made(transport)
        _transports[transport.get_extra_info("peername")] = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        _transports.pop(self.transport.get_extra_info("peername"), None)
        super().connection_lost(exc)


class Answer(Response):
    """Pieces of a body, with a fault of the wire if there is one."""

    def __init__(self, pieces: AsyncIterator[bytes], headers: dict[str, str], fault: Fault | None = None) -> None:
        super().__init__(headers=headers, media_type="application/json")
        del self.headers["content-length"]
        self._pieces = pieces
        self._fault = fault

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - as ASGI has it
        """Send it."""
        kind = self._fault and self._fault.kind
        if kind is Kind.RESET:
            return await _reset(scope)
        pieces = self._pieces
        if self._fault and kind in _BROKEN_OFF | {Kind.MALFORMED_JSON}:
            whole = b"".join([piece async for piece in self._pieces])
            pieces = _once(whole[: min(self._fault.after_bytes, len(whole) // 2)])
            if kind is Kind.TRUNCATED_LENGTH:
                self.headers["content-length"] = str(len(whole))
        elif self._fault and kind in {Kind.SLOW, Kind.STALL}:
            pieces = _paced(self._pieces, self._fault)
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        async for piece in pieces:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        if kind is Kind.RESET_MIDWAY:
            return await _reset(scope)
        if kind in _BROKEN_OFF:
            # Leaving without the end makes the server close the connection.
            return None
        await send({"type": "http.response.body", "body": b"", "more_body": False})
        return None


async def as_array(batches: AsyncIterator[list[bytes]]) -> AsyncIterator[bytes]:
    """Records as one JSON array, in pieces."""
    start = b"["
    async for records in batches:
        for at in range(0, len(records), _PER_PIECE):
            yield start + b",\n".join(records[at : at + _PER_PIECE])
            start = b",\n"
    yield b"[]" if start == b"[" else b"]"


async def _once(piece: bytes) -> AsyncIterator[bytes]:
    yield piece


async def _paced(pieces: AsyncIterator[bytes], fault: Fault) -> AsyncIterator[bytes]:
    stalled = False
    async for piece in pieces:
        for at in range(0, len(piece), fault.after_bytes):
            if fault.kind is Kind.SLOW:
                await asyncio.sleep(fault.delay)
            elif at and not stalled:
                await asyncio.sleep(fault.delay)
                stalled = True
            yield piece[at : at + fault.after_bytes]


async def _reset(scope: Scope) -> None:
    transport = _transports[scope["client"]]
    peer: Any = transport.get_extra_info("socket")
    # What is written must be gone first: a reset throws away what the kernel still holds.
    await asyncio.sleep(0.05)
    # Closing with a linger of zero seconds sends RST instead of FIN.
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
    # Until the server has noticed that the connection is gone.
    await asyncio.sleep(0.01)
