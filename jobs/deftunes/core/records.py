"""A record as the API sent it: its exact values, its canonical form, its identity.

Numbers keep their digits (1.10 is neither 1.1 nor "1.10"); the order of an object's keys is not content. Extract and
transform read this one definition, so what is equal for one is equal for the other.
"""

import hashlib
from decimal import Decimal
from typing import Any

import msgspec

_VALUE = msgspec.json.Decoder(float_hook=Decimal)
_ENCODER = msgspec.json.Encoder(order="sorted", decimal_format="number")
# A number keeps its very text, exponent and all.
_RAW = msgspec.json.Decoder(float_hook=msgspec.Raw)
# What a decoder raises for text that is JSON and that it cannot hold: half a surrogate pair, an integer of thousands of
# digits, more nesting than the stack takes.
UNREADABLE = (msgspec.MsgspecError, ValueError, RecursionError)
_SORTED = msgspec.json.Encoder(order="sorted")


def decode(record: bytes | str) -> Any:
    """The record's value; a number with a fraction is a Decimal of exactly the digits sent.

    Raises:
        ValueError: no JSON, no UTF-8, half a surrogate pair in a text, or a number whose exponent no Decimal holds.
    """
    try:
        return _VALUE.decode(record)
    except ArithmeticError as error:
        raise ValueError("a number's exponent is out of range") from error


def encode(value: Any) -> bytes:
    """A decoded value as JSON: sorted keys, no blanks, digits kept."""
    return _ENCODER.encode(value)


def canonical(record: bytes) -> bytes:
    """The record with keys sorted and without white space: equal bytes for equal content.

    Where a key stands twice the last one counts, as for every reader after us. A record that the decoder refuses
    (a lone surrogate) is its own canonical form: at worst it lands once more than needed.
    """
    try:
        return _SORTED.encode(_RAW.decode(record))
    except UNREADABLE:
        return record


def content_digest(record: bytes) -> bytes:
    """Identity of a record's content, 32 bytes: equal for records that differ in order of keys or white space only."""
    return hashlib.sha256(canonical(record)).digest()
