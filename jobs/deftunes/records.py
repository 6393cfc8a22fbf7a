"""A record as the API sent it: its exact values, its canonical form, its identity.

Numbers keep their digits (1.10 is neither 1.1 nor "1.10"); the order of an object's keys is not content.
"""

import hashlib
from decimal import Decimal
from typing import Any

import msgspec

_DECODER = msgspec.json.Decoder(float_hook=Decimal)
_ENCODER = msgspec.json.Encoder(order="sorted", decimal_format="number")


def decode(raw: bytes | str) -> Any:
    """The record's value; a number with a fraction is a Decimal of exactly the digits sent.

    Raises:
        ValueError: not JSON, or not UTF-8.
    """
    return _DECODER.decode(raw)


def encode(value: Any) -> bytes:
    """A value as canonical JSON: sorted keys, no blanks, digits kept."""
    return _ENCODER.encode(value)


def content_digest(value: Any) -> bytes:
    """Identity of a record's content: equal for records that differ in key order or blanks only (32 bytes)."""
    return hashlib.sha256(encode(value)).digest()


def text_digest(raw: str) -> bytes:
    """Identity of a record as received, text and all (32 bytes)."""
    return hashlib.sha256(raw.encode()).digest()
