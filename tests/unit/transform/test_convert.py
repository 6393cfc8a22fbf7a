"""Rows in batches that stay far below what an Arrow column can hold, whatever one record makes."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from deftunes.transform import convert
from deftunes.transform.convert import Converter

AT = datetime(2020, 1, 1, tzinfo=UTC)
LIMIT = 1000


def rows_of(line: str) -> Iterator[dict[str, Any]]:
    """A line says how many rows repeat a text of which length."""
    rows, length = map(int, line.split())
    for number in range(rows):
        yield {"number": number, "text": "x" * length}


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 400)), max_size=12), st.integers(1, 5))
def test_a_batch_ends_within_a_record(lines: list[tuple[int, int]], at_once: int) -> None:
    landed = [f"{rows} {length}" for rows, length in lines]
    convert_rows = Converter(
        rows_of,
        {"unit": "string", "number": "int", "text": "string"},
        {"l/1": {"unit": "u", "ingested_at": AT}},
    )
    batches = (
        pa.RecordBatch.from_pydict({"value": chunk, "path": ["l/1/part"] * len(chunk)})
        for chunk in (landed[begin : begin + at_once] for begin in range(0, len(landed), at_once))
    )
    before = convert._CHARACTERS_A_BATCH, convert._ROWS_A_BATCH
    convert._CHARACTERS_A_BATCH, convert._ROWS_A_BATCH = LIMIT, 20
    try:
        found = list(convert_rows.batches(batches))
    finally:
        convert._CHARACTERS_A_BATCH, convert._ROWS_A_BATCH = before
    for batch in found:
        assert 0 < batch.num_rows <= 20
        assert sum(map(len, batch.column("text").to_pylist())) < LIMIT + 400
    together = [row for batch in found for row in batch.to_pylist()]
    assert together == [{"unit": "u", **row} for line in landed for row in rows_of(line)]
