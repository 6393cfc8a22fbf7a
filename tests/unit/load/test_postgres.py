"""Record batches as CSV for COPY."""

import csv
import io

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from deftunes.load.postgres import _CsvStream

TEXTS = st.lists(st.none() | st.text(st.characters(exclude_categories=["Cs"])), min_size=1, max_size=30)


def stream(*columns: list[object]) -> _CsvStream:
    batch = pa.RecordBatch.from_arrays([pa.array(column) for column in columns], [str(n) for n in range(len(columns))])
    return _CsvStream(iter([batch]))


def test_null_alone_has_no_quotes() -> None:
    assert stream([1, 2], ["", None]).read() == b'"1",""\n"2",\n'


@given(TEXTS)
def test_text_comes_back_as_it_was_save_for_nul(texts: list[str | None]) -> None:
    numbers = list(range(len(texts)))
    body = stream(numbers, texts).read().decode()
    # Python's reader cannot tell NULL from '', so both stand as ''.
    rows = list(csv.reader(io.StringIO(body, newline=""), strict=True))
    assert rows == [
        [str(number), (text or "").replace("\0", "\ufffd")] for number, text in zip(numbers, texts, strict=True)
    ]


def test_pieces_of_any_size_add_up() -> None:
    whole = stream(list(range(40_000))).read()
    pieces = stream(list(range(40_000)))
    read = []
    while piece := pieces.read(1000):
        assert len(piece) <= 1000
        read.append(piece)
    assert pieces.rows == 40_000
    assert b"".join(read).startswith(whole)
