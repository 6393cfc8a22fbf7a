"""Landed lines to typed Arrow rows, in this process or in Spark's Python workers.

Workers import what this module imports, each of them, at each start: no pyspark.sql here, and nothing else heavy.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from deftunes.adapters.arrow_types import arrow_schema

Row = Mapping[str, Any]
Conform = Callable[[str], Iterable[Row]]

# Whichever comes first: a text may be of any length, a record may have any number of rows that repeat it, and a column
# of an Arrow batch ends at 2 GiB.
_ROWS_A_BATCH = 5_000
_CHARACTERS_A_BATCH = 32 << 20


@dataclass(frozen=True, slots=True)
class Converter:
    """Turns batches of (value, path) into batches of typed rows.

    `types` are silver's by column name; `origin` are the columns that a landing's folder stands for; a path without its
    file name is such a folder.
    """

    conform: Conform
    types: Mapping[str, str]
    origin: Mapping[str, Row]

    def batches(self, landed: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """A few thousand rows at a time are in memory, fewer where they are long."""
        schema = arrow_schema(self.types)
        rows: list[Row] = []
        characters = 0
        for batch in landed:
            for line, path in zip(batch.column("value").to_pylist(), batch.column("path").to_pylist(), strict=True):
                source = self.origin[path.rpartition("/")[0]]
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
