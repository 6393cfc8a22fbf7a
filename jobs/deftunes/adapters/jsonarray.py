"""Cut the text of one JSON array into the texts of its elements, block by block, without changing a number.

    bytes as they come  ->  complete elements, one a line  ->  the spool

Nothing is decoded into Python objects and only one block is in memory, so an answer may be of any size. Line breaks
can only stand between a record's tokens (JSON forbids them inside strings), so a blank in their place changes nothing.
"""

import re
from collections.abc import Sequence

import msgspec

BLOCK = 1 << 20
_CUTS_TRIED = 16
_TAIL = 1 << 16
_HEAD = 8
_OPENS_OBJECT = ord("{")
_WHITE = b" \t\r\n"
_END_OF_OBJECT = re.compile(rb"\}[ \t\r\n]*,")
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")
_ELEMENTS = msgspec.json.Decoder(list[msgspec.Raw])


class MalformedError(Exception):
    """The text breaks off or is no JSON."""


class NotRecordsError(Exception):
    """The text is complete and holds something other than an array of records. The message says what."""


def without_surrogates(text: bytes) -> bytes:
    r"""The same text, as long as before, with each `\uD8xx` escape made a harmless one.

    A lone surrogate is valid JSON (a name cut in the middle of an emoji) but the decoder refuses it.
    """
    return _SURROGATE.sub(rb"\\u0041", text)


class Splitter:
    """Feed it the chunks of a body, then `finish`; both return whole elements, each ended by a line feed."""

    def __init__(self) -> None:
        self.rows = 0
        self._objects = False
        self._pending = bytearray()
        self._opened = False
        self._other = False
        self._enough = BLOCK

    def feed(self, chunk: bytes) -> bytes:
        """Take the next bytes of the body.

        Raises:
            MalformedError: no continuation can make the body valid.

        """
        if self._other:
            return b""
        self._pending += chunk
        if not self._opened and not self._open():
            return b""
        if len(self._pending) < self._enough:
            return b""
        # A comma inside a record or a string is no cut: what stands before it, closed by a bracket, is then no JSON.
        for end, after in self._cuts():
            block = b"[%b]" % bytes(self._pending[:end])
            try:
                lines = self._lines(block)
            except MalformedError:
                continue
            del self._pending[:after]
            self._enough = BLOCK
            return lines
        # A record larger than a block, or malformed text: look again when there is twice as much.
        self._enough = 2 * len(self._pending)
        return b""

    def finish(self) -> bytes:
        """The body is complete: return the rest.

        Raises:
            MalformedError: it broke off or is no JSON.
            NotRecordsError: it is no array, or an array without a single record.

        """
        if not self._opened:
            text = bytes(self._pending.removeprefix(b"\xef\xbb\xbf").lstrip(_WHITE))
            raise NotRecordsError(_name(text))
        before = self.rows
        lines = self._lines(b"[%b" % bytes(self._pending))
        if before and self.rows == before:
            raise MalformedError("the array ends in a comma")
        if self.rows and not self._objects:
            raise NotRecordsError("an array that holds no object")
        return lines

    def _open(self) -> bool:
        text = self._pending.removeprefix(b"\xef\xbb\xbf").lstrip(_WHITE)
        if not text:
            return False
        if text[:1] != b"[":
            # Kept to say what came; the rest is read only to know whether the answer is complete.
            self._other = True
            self._pending = bytearray(text[:_TAIL])
            return False
        self._opened = True
        self._pending = text[1:]
        return True

    def _cuts(self) -> list[tuple[int, int]]:
        """Where the last record may end and the next begins, the likeliest first."""
        start = max(0, len(self._pending) - _TAIL)
        cuts = [(match.start() + 1, match.end()) for match in _END_OF_OBJECT.finditer(self._pending, start)]
        # Records of one answer begin alike, and seldom like the objects inside them.
        head = bytes(self._pending[:_HEAD])
        cuts.sort(key=lambda cut: (self._pending[cut[1] : cut[1] + _HEAD] != head, -cut[1]))
        return cuts[:_CUTS_TRIED]

    def _lines(self, block: bytes) -> bytes:
        elements = _split(block)
        if not elements:
            return b""
        self.rows += len(elements)
        self._objects = self._objects or any(memoryview(element)[0] == _OPENS_OBJECT for element in elements)
        # No byte of valid JSON is 0, so it can hold the places of the line feeds.
        lines = b"\0".join(elements)
        if b"\n" in lines or b"\r" in lines:
            lines = lines.translate(_ONE_LINE)
        return lines.replace(b"\0", b"\n") + b"\n"


_ONE_LINE = bytes.maketrans(b"\n\r", b"  ")


def _split(block: bytes) -> Sequence[msgspec.Raw | memoryview]:
    if not block.isascii():
        try:
            block.decode()
        except UnicodeDecodeError as error:
            raise MalformedError(f"not UTF-8: {error.reason}") from None
    try:
        return _ELEMENTS.decode(block)
    except RecursionError:
        raise MalformedError("nested too deeply") from None
    except msgspec.DecodeError as error:
        harmless = without_surrogates(block)
        if harmless == block:
            raise MalformedError(str(error)) from None
    try:
        lengths = [len(memoryview(element)) for element in _ELEMENTS.decode(harmless)]
    except msgspec.DecodeError as error:
        raise MalformedError(str(error)) from None
    elements = []
    position = 1
    for length in lengths:
        while block[position] in b" \t\r\n,":
            position += 1
        elements.append(memoryview(block)[position : position + length])
        position += length
    return elements


def _name(text: bytes) -> str:
    if not text:
        return "an empty body"
    if text[:1] == b"{":
        return "a JSON object"
    return "HTML" if text[:1] == b"<" else "text that is no JSON array"
