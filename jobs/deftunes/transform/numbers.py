"""Numbers of the catalogue in silver's types: a value is kept exactly, or there is a reason why not.

Spark's own casts wrap what is too large, cut fractions off and make 0 of NaN. Here nothing is rounded: a `double` holds
a number if it is that number, or if the shortest digits that tell it from its neighbours are those that were sent.

Workers import what this module imports: no pyspark here.
"""

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from deftunes.adapters.arrow_types import arrow_schema
from deftunes.core.entities.songs import UNREADABLE
from deftunes.core.records import encode

Number = int | float
# As PostgreSQL writes and reads numbers.
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,6})?")
_SPECIAL = {"nan": math.nan, "infinity": math.inf, "inf": math.inf, "-infinity": -math.inf, "-inf": -math.inf}
_LARGEST = {"int": 2**31 - 1, "bigint": 2**63 - 1}
# Arrow's types of landed numbers whose every value silver's type holds.
_LOSSLESS = frozenset(
    (landed, silver)
    for silver, smaller in {
        "int": ("int16", "int32"),
        "bigint": ("int16", "int32", "int64"),
        "double": ("int16", "int32", "double"),
    }.items()
    for landed in smaller
)


def exact(value: Number | str, silver: str) -> tuple[Number | None, str | None]:
    """The same number in silver's type (int, bigint, double), or None and what was got instead."""
    if isinstance(value, str):
        text = value.strip(" ")
        special = _SPECIAL.get(text.lower())
        if special is None and not _NUMBER.fullmatch(text):
            return None, "text"
        return _exact(Decimal(text) if special is None else special, silver)
    return _exact(value, silver)


def _exact(value: Number | Decimal, silver: str) -> tuple[Number | None, str | None]:
    # Not `math.isfinite`, for which a decimal of 400 digits is infinite.
    if not (value.is_finite() if isinstance(value, Decimal) else math.isfinite(value)):
        if silver == "double":
            return float(value), None
        return None, "NaN" if math.isnan(value) else "an infinite number"
    if silver != "double":
        return _integer(value, _LARGEST[silver])
    double = float(value) + 0.0  # which makes 0.0 of -0.0: the same number, in one text
    same = value == double or Decimal(repr(double)) == value
    return (double, None) if same else (None, "a number that it cannot hold exactly")


def _integer(value: Number | Decimal, largest: int) -> tuple[int | None, str | None]:
    if not -largest - 1 <= value <= largest:  # first: an integer of a million digits need not be made
        return None, "a number beyond its range"
    return (int(value), None) if value == int(value) else (None, "a fraction")


@dataclass(frozen=True, slots=True)
class TypedSongs:
    """Makes rows of a landing silver's: types by name, NULL where a value cannot be kept.

    Adds `place` of the landing in its chain, the `landing`, `problems` (lines of one text), and `as_landed`: the values
    of columns that might not fit, as a JSON object.
    """

    types: Mapping[str, str]
    place: int
    landing: str

    def batches(self, landed: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """One for each."""
        return map(self._batch, landed)

    def _batch(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        problems: list[list[str]] = [[] for _ in range(batch.num_rows)]
        as_landed: list[dict[str, Any]] = [{} for _ in range(batch.num_rows)]
        columns: dict[str, pa.Array] = {}
        for name, silver in self.types.items():
            column = batch.column(name)
            if _is_lossless(column.type, silver):
                # 0.0 for -0.0, as below.
                columns[name] = pc.add(column.cast(pa.float64()), 0.0) if silver == "double" else _cast(column, silver)
            else:
                columns[name] = _convert(name, silver, column, problems, as_landed)
        if UNREADABLE in batch.schema.names:
            for reason, found in zip(batch.column(UNREADABLE).to_pylist(), problems, strict=True):
                if reason:
                    found.append(" ".join(reason.split("\n")))
        columns |= {
            "place": pa.array([self.place] * batch.num_rows, pa.int32()),
            "landing": pa.array([self.landing] * batch.num_rows, pa.string()),
            "problems": pa.array(["\n".join(found) or None for found in problems], pa.string()),
            "as_landed": pa.array([encode(values).decode() if values else None for values in as_landed], pa.string()),
        }
        return pa.RecordBatch.from_pydict(columns)


def song_columns(types: Mapping[str, str]) -> dict[str, str]:
    """The types of what `TypedSongs` yields, by name."""
    return {**types, "place": "int", "landing": "string", "problems": "string", "as_landed": "string"}


def _convert(
    name: str, silver: str, column: pa.Array, problems: list[list[str]], as_landed: list[dict[str, Any]]
) -> pa.Array:
    is_float = pa.types.is_float32(column.type)
    if is_float:
        column = column.cast(pa.string())  # a double of the same digits, not of the same bits, which has more
    values: list[Number | None] = []
    for value, found, sent in zip(column.to_pylist(), problems, as_landed, strict=True):
        sent[name] = json_number(float(value)) if is_float and value is not None else json_number(value)
        number, got = (None, None) if value is None else exact(value, silver)
        values.append(number)
        if got:
            found.append(f"{name}: expected {silver}, got {got}")
    return pa.array(values, _type_of(silver))


def json_number(value: Any) -> Any:
    """A value as JSON holds it: a number that is none there, by its name."""
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _cast(column: pa.Array, silver: str) -> pa.Array:
    return column.cast(_type_of(silver))


def _type_of(silver: str) -> pa.DataType:
    return arrow_schema({"": silver}).field(0).type


def _is_lossless(landed: pa.DataType, silver: str) -> bool:
    if pa.types.is_string(landed) or pa.types.is_large_string(landed):
        return silver == "string"
    return (str(landed), silver) in _LOSSLESS


def only_keys(landed: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The track_ids of a part of a landing."""
    return (batch.select(["track_id"]) for batch in landed)
