"""Read a JSON array as the texts of its elements, without changing a number.

    a file  ->  mapped, and checked by one decode into raw elements  ->  batches of elements, one line each

An element is a view of the mapped file, not a copy, and pages of the file are given back as soon as they are read: what
stays in memory is a batch. Line breaks can only stand between an element's tokens (JSON forbids them inside strings),
so a blank in their place changes nothing.
"""

import codecs
import hashlib
import mmap
import os
import re
import threading
from collections.abc import Iterator
from typing import IO

import msgspec

_BLOCK = 1 << 20
_BATCH = 256
_START = re.compile(rb"(?:\xef\xbb\xbf)?[ \t\r\n]*")
_OPENS_OBJECT = ord("{")
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")
_HARMLESS = rb"\u0041"
_ELEMENTS = msgspec.json.Decoder(list[msgspec.Raw])
_ELEMENT = msgspec.json.Decoder(msgspec.Raw)
_TRUNCATED = "Input data was truncated"  # what msgspec says
_POSITION = re.compile(r"^(?!.*trailing).*\(byte (\d+)\)$")
_STRUCTURE = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{},]', re.DOTALL)
# One array at a time is whole in memory, however many threads read.
_VALIDATING = threading.Lock()
_ONE_LINE = bytes.maketrans(b"\n\r", b"  ")


class MalformedError(Exception):
    """The text is no JSON."""


class TruncatedError(MalformedError):
    """The text is the beginning of JSON: it breaks off."""


class NotRecordsError(Exception):
    """The text holds something other than an array of records. The message says what."""


def without_surrogates(text: bytes) -> bytes:
    r"""The same text, as long as before, with each `\uD8xx` escape made a harmless one.

    A lone surrogate is valid JSON (a name cut in the middle of an emoji) but the decoder refuses it.
    """
    return _SURROGATE.sub(lambda _: _HARMLESS, text)


class JsonArray:
    """An array of records in a file, which may be closed once this is made.

    Raises:
        TruncatedError: it breaks off.
        MalformedError: it is no JSON.
        NotRecordsError: it is no array, or an array of elements that are no objects.

    """

    def __init__(self, file: IO[bytes]) -> None:
        file.flush()
        self.bytes = file.seek(0, os.SEEK_END)
        if not self.bytes:
            raise NotRecordsError("an empty body")
        # A private mapping: what is written to it changes no file.
        self._mapping = mmap.mmap(file.fileno(), self.bytes, access=mmap.ACCESS_COPY)
        with _VALIDATING:
            try:
                self._elements = _check(memoryview(self._mapping))
            finally:
                self._release_pages()

    def __len__(self) -> int:
        return len(self._elements)

    def digest(self) -> bytes:
        """Identity of the text."""
        found = hashlib.sha256(self._mapping).digest()
        self._release_pages()
        return found

    def lines(self) -> Iterator[list[bytes]]:
        """The text of each element as one line, in batches."""
        for start in range(0, len(self._elements), _BATCH):
            # No byte of valid JSON is 0, so it can separate the elements while their line breaks become blanks.
            joined = b"\0".join(self._elements[start : start + _BATCH])
            self._release_pages()
            if b"\n" in joined or b"\r" in joined:
                joined = joined.translate(_ONE_LINE)
            yield joined.split(b"\0")

    def _release_pages(self) -> None:
        """Drop the pages of the file from memory; they are read again where an element is looked at."""
        self._mapping.madvise(mmap.MADV_DONTNEED)


def _check(text: memoryview) -> list[msgspec.Raw]:
    start = _START.match(text)
    assert start, "the pattern also matches an empty text"
    array = text[start.end() :]
    first = bytes(array[:1])
    if first != b"[":
        raise NotRecordsError(_describe(first))
    _check_utf8(array)
    elements = _decode(array)
    if elements and not any(memoryview(element)[0] == _OPENS_OBJECT for element in elements):
        raise NotRecordsError("an array that holds no object")
    return elements


def _check_utf8(text: memoryview) -> None:
    # Block by block: with a single emoji in it, decoded text takes four bytes a character.
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for start in range(0, len(text), _BLOCK):
            decoder.decode(text[start : start + _BLOCK])
        decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        kind = TruncatedError if error.reason == "unexpected end of data" else MalformedError
        raise kind(f"not UTF-8: {error.reason}") from None


def _decode(array: memoryview) -> list[msgspec.Raw]:
    try:
        return _ELEMENTS.decode(array)
    except RecursionError:
        return _split(array)
    except msgspec.DecodeError as error:
        surrogates = [(match.start(), match[0]) for match in _SURROGATE.finditer(array)]
        if not surrogates:
            raise _malformed(error, array) from None
    return _decode_surrogates(array, surrogates)


def _decode_surrogates(array: memoryview, surrogates: list[tuple[int, bytes]]) -> list[msgspec.Raw]:
    """Decode with the escapes of surrogates made harmless, then put them back: elements show the text as it was."""
    for at, escape in surrogates:
        array[at : at + len(escape)] = _HARMLESS
    try:
        return _ELEMENTS.decode(array)
    except RecursionError:
        return _split(array)
    except msgspec.DecodeError as error:
        raise _malformed(error, array) from None
    finally:
        for at, escape in surrogates:
            array[at : at + len(escape)] = escape


def _malformed(error: msgspec.DecodeError, array: memoryview) -> MalformedError:
    at = _POSITION.match(str(error))
    # A literal or a number that ends too soon is called invalid at the byte after the last one, as trailing text is.
    is_truncated = str(error) == _TRUNCATED or (at is not None and int(at[1]) >= len(array))
    return TruncatedError(str(error)) if is_truncated else MalformedError(str(error))


def _split(array: memoryview) -> list[msgspec.Raw]:
    """The elements of an array where one is nested deeper than the decoder can go: it must not stop the others.

    Of that one, only the brackets and the strings are checked; for transform it is a record that cannot be read.
    """
    elements: list[msgspec.Raw] = []
    depth, start, is_closed = 0, 1, False
    for token in _STRUCTURE.finditer(array):
        if is_closed:
            raise MalformedError("text after the array")
        match token[0][:1]:
            case b"[" | b"{":
                depth += 1
            case b"]" | b"}":
                depth -= 1
                is_closed = depth == 0
        if is_closed or (depth == 1 and token[0] == b","):
            elements.append(_element(array[start : token.start()]))
            start = token.end()
    if not is_closed:
        raise TruncatedError(_TRUNCATED)
    if bytes(array[start:]).strip():
        raise MalformedError("text after the array")
    return elements


def _element(text: memoryview) -> msgspec.Raw:
    try:
        return _ELEMENT.decode(text)
    except RecursionError:
        # A view, as the decoder gives: escapes that are harmless now will be put back.
        copied = bytes(text)
        return msgspec.Raw(text[len(copied) - len(copied.lstrip()) : len(copied.rstrip())])
    except msgspec.DecodeError as error:
        raise MalformedError(str(error)) from None


def _describe(first: bytes) -> str:
    match first:
        case b"":
            return "an empty body"
        case b"{":
            return "a JSON object"
        case b"<":
            return "HTML"
        case _:
            return "text that is no JSON array"
