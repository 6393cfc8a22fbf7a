"""Landed lines to typed Arrow rows, inside Spark's Python workers.

Workers import what this module imports, each of them, at each start: no pyspark.sql here, and nothing else heavy.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

Row = Mapping[str, Any]
Conform = Callable[[str], Iterable[Row]]

# Whichever comes first: a text may be of any length, a record may have any number of rows that repeat it, and a column
# of an Arrow batch ends at 2 GiB.
_ROWS_A_BATCH = 5_000
_CHARACTERS_A_BATCH = 32 << 20


def _arrow_types() -> dict[str, pa.DataType]:
    return {
        "string": pa.string(),
        "binary": pa.binary(),
        "int": pa.int32(),
        "boolean": pa.bool_(),
        "timestamp": pa.timestamp("us", "UTC"),
        "decimal(12,2)": pa.decimal128(12, 2),
        "decimal(11,8)": pa.decimal128(11, 8),
        "array<string>": pa.list_(pa.string()),
    }


@dataclass(frozen=True, slots=True)
class Converter:
    """Turns batches of (value, path) into batches of typed rows.

    `types` are Spark's by column name; `origin` are the columns that a landing's folder stands for; a path without
    `prefix` and file name is such a folder.
    """

    conform: Conform
    types: Mapping[str, str]
    origin: Mapping[str, Row]
    prefix: str

    def batches(self, landed: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """For mapInArrow: a few thousand rows at a time are in memory, fewer where they are long."""
        types = _arrow_types()
        schema = pa.schema([(name, types[type_]) for name, type_ in self.types.items()])
        rows: list[Row] = []
        characters = 0
        for batch in landed:
            for line, path in zip(batch.column("value").to_pylist(), batch.column("path").to_pylist(), strict=True):
                source = self.origin[path.removeprefix(self.prefix).rpartition("/")[0]]
                for row in self.conform(line):
                    rows.append({**source, **row})
                    characters += sum(len(value) for value in row.values() if isinstance(value, str))
                    if len(rows) >= _ROWS_A_BATCH or characters >= _CHARACTERS_A_BATCH:
                        yield _record_batch(rows, schema)
                        rows, characters = [], 0
        if rows:
            yield _record_batch(rows, schema)


def _record_batch(rows: list[Row], schema: pa.Schema) -> pa.RecordBatch:
    columns = [pa.array([row.get(field.name) for row in rows], field.type) for field in schema]
    return pa.RecordBatch.from_arrays(columns, schema=schema)
