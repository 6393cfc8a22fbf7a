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

import pyarrow as pa

Number = int | float
PROBLEMS = "number_problems"
# As PostgreSQL writes and reads numbers.
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,6})?")
_SPECIAL = {"nan": math.nan, "infinity": math.inf, "inf": math.inf, "-infinity": -math.inf, "-inf": -math.inf}
_LARGEST = {"int": 2**31 - 1, "bigint": 2**63 - 1}
_ARROW_TYPES = {"int": pa.int32(), "bigint": pa.int64(), "double": pa.float64()}
# Spark's types of landed columns whose every value silver's type holds, so that Spark's own cast is exact.
LOSSLESS = frozenset(
    (landed, silver)
    for silver, smaller in {
        "string": ("string",),
        "int": ("smallint", "int"),
        "bigint": ("smallint", "int", "bigint"),
        "double": ("smallint", "int", "double"),
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
    double = float(value)
    same = value == double or Decimal(repr(double)) == value
    return (double, None) if same else (None, "a number that it cannot hold exactly")


def _integer(value: Number | Decimal, largest: int) -> tuple[int | None, str | None]:
    if not -largest - 1 <= value <= largest:  # first: an integer of a million digits need not be made
        return None, "a number beyond its range"
    return (int(value), None) if value == int(value) else (None, "a fraction")


@dataclass(frozen=True, slots=True)
class Exactly:
    """Makes the columns `types` (name -> silver's type) silver's, NULL where a value cannot be kept.

    Adds the column PROBLEMS: for each such value a reason.
    """

    types: Mapping[str, str]

    def batches(self, landed: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """For mapInArrow."""
        for batch in landed:
            problems: list[list[str]] = [[] for _ in range(batch.num_rows)]
            columns = {
                name: self._convert(name, column, problems) if name in self.types else column
                for name, column in zip(batch.schema.names, batch.columns, strict=True)
            }
            columns[PROBLEMS] = pa.array(problems, pa.list_(pa.string()))
            yield pa.RecordBatch.from_pydict(columns)

    def _convert(self, name: str, column: pa.Array, problems: list[list[str]]) -> pa.Array:
        silver = self.types[name]
        if pa.types.is_float32(column.type) and silver == "double":
            column = column.cast(pa.string())  # a double of the same digits, not of the same bits, which has more
        values: list[Number | None] = []
        for value, found in zip(column.to_pylist(), problems, strict=True):
            number, got = (None, None) if value is None else exact(value, silver)
            values.append(number)
            if got:
                found.append(f"{name}: expected {silver}, got {got}")
        return pa.array(values, _ARROW_TYPES[silver])
