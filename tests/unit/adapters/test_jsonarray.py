import json
import resource
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deftunes.adapters import jsonarray
from deftunes.adapters.jsonarray import JsonArray, MalformedError, NotRecordsError, TruncatedError

TEXTS = st.text(st.characters(codec="utf-8")) | st.sampled_from(['},{"a":1', "[", '"', "\\", "\\ud800", "\n", "]"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(TEXTS, VALUES, max_size=4)


def split(body: bytes) -> list[bytes]:
    with tempfile.TemporaryFile() as file:
        file.write(body)
        array = JsonArray(file)
    found = [line for batch in array.lines() for line in batch]
    assert (len(array), array.bytes) == (len(found), len(body))
    assert not any(b"\n" in line for line in found)
    return found


@pytest.fixture(params=[3, 1000])
def blocks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read in blocks that are smaller than a record, and larger than all."""
    monkeypatch.setattr(jsonarray, "_BLOCK", request.param)
    monkeypatch.setattr(jsonarray, "_BATCH", request.param)


@settings(max_examples=40)
@given(
    st.lists(OBJECTS | VALUES, max_size=12).map(lambda values: [{"first": 1}, *values]),
    st.sampled_from([None, 1]),
    st.booleans(),
    st.integers(1, 20),
)
def test_every_element_comes_out_as_it_went_in(values: list[Any], indent: int | None, ascii_: bool, size: int) -> None:
    body = json.dumps(values, indent=indent, ensure_ascii=ascii_).encode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jsonarray, "_BLOCK", size)
        patch.setattr(jsonarray, "_BATCH", size)
        found = split(body)

    assert [json.loads(line) for line in found] == values


@given(st.binary(max_size=40), st.integers(0, 100))
def test_no_bytes_fail_otherwise_than_by_name(noise: bytes, at: int) -> None:
    body = b'[{"a":1},{"b":"x"}]'
    try:
        found = split(body[:at] + noise + body[at:])
    except (MalformedError, NotRecordsError):
        return
    assert all(json.loads(line) is not ... for line in found)


def test_the_text_of_a_record_is_kept() -> None:
    texts = ['{"a":1.10}', '{"a": 1.1 , "a":2}', '{"b":"\\u00e9","n":1e999}', '{"n":123456789012345678901234567890}']

    assert split(f"\ufeff [{' , '.join(texts)} ]\r\n".encode()) == [text.encode() for text in texts]


def test_line_breaks_between_tokens_become_blanks() -> None:
    assert split(b'[\n{\n"a":\r\n"x\\n"}\n,\n3\n]') == [b'{ "a":  "x\\n"}', b"3"]


def test_a_lone_surrogate_stops_nothing(blocks: None) -> None:
    texts = [f'{{"name":"cut \\ud83d","n":{number},"path":"c:\\\\ud800"}}'.encode() for number in range(50)]

    assert split(b"[%b]" % b", ".join(texts)) == texts


def resident() -> int:
    """Bytes of memory that this process holds."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize()


def test_neither_the_file_nor_what_was_read_of_it_stays_in_memory() -> None:
    size = 64 << 20
    record = b'{"a":"%b"},' % (b"x" * 4000)
    with tempfile.TemporaryFile() as file:
        file.write(b"[")
        for _ in range(size // len(record)):
            file.write(record)
        file.write(b"{}]")
        before = resident()
        array = JsonArray(file)
    held = max([resident() - before, *(resident() - before for _ in array.lines())])
    assert array.bytes > size - len(record)
    assert held < size / 4


def test_an_empty_array_is_an_answer() -> None:
    assert split(b" [ ] ") == []


def test_a_record_larger_than_any_block_is_one_record(blocks: None) -> None:
    record = b'{"items":[%b{}]}' % (b'{"a":1},' * 5000)

    assert split(b"[%b,%b]" % (record, record)) == [record, record]


@pytest.mark.parametrize(
    "body",
    [
        b"[", b"[{", b'[{"a":1}', b'[{"a":1},', b'[{"a":1},]', b'[{"a":1}]]', b'[{"a":1}{"a":1}]', b'[{"a":01}]',
        b'[{"a":NaN}]', b'[{"a":"\n"}]', b'[{"a":"\xff"}]', b'[{"a":1}] <html>', b"[" * 100_000,
        b'[{"a":1}, ' + b"[" * 100_000 + b"}",
        b'[{"a":1},{"b":"\\x"}]', b'[{"a":"\\ud800',
    ],
)  # fmt: skip
def test_what_breaks_off_or_is_no_json_is_malformed(body: bytes, blocks: None) -> None:
    with pytest.raises(MalformedError):
        split(body)


def test_an_array_cut_anywhere_is_truncated() -> None:
    body = json.dumps([{"a": number, "b": [{"c": "},{"}]} for number in range(20)]).encode()
    for end in range(1, len(body) - 1):
        with pytest.raises(TruncatedError):
            split(body[:end])


@settings(max_examples=100)
@given(OBJECTS | VALUES, st.sampled_from([None, 1]), st.booleans())
def test_whatever_breaks_off_is_truncated(value: Any, indent: int | None, ascii_: bool) -> None:
    name = "ü\ud83d" if ascii_ else "ü€😀"
    body = json.dumps([{"a": name, "b": [True, -1.5e-7, None]}, value], indent=indent, ensure_ascii=ascii_).encode()
    for end in range(1, len(body) - 1):
        with pytest.raises(TruncatedError):
            split(body[:end])


@pytest.mark.parametrize(
    "body",
    [
        b'[{"a":NaN}]', b'[{"a":Infinity}]', b'[{"a":1}] []', b'[{"a":1}]x', b'[{"a":"\xff"}]', b"[{'a':1}]",
        b'[{"a":1},]', b'[{"a":"\xe4\xf6"}, {"b":1}]', b'[{"a":1}\n<html>', b'[{"a":\x00}]', b'[{"a":01}]',
        b'[{"a":tru}]',
    ],
)  # fmt: skip
def test_what_is_complete_and_no_json_is_not_called_truncated(body: bytes) -> None:
    with pytest.raises(MalformedError) as caught:
        split(body)
    assert not isinstance(caught.value, TruncatedError)


@settings(max_examples=20)
@given(
    st.lists(OBJECTS, max_size=4),
    st.lists(OBJECTS, max_size=4),
    st.integers(900, 5000),
    st.sampled_from([(b"[", b"]"), (b'{"a":', b"}"), (b'[{"]":"[\\"", "x":', b"}]")]),
)
def test_a_record_nested_without_end_stops_no_other(
    before: list[Any], after: list[Any], depth: int, pair: tuple[bytes, bytes]
) -> None:
    deep = b'{"deep": ' + pair[0] * depth + b"1" + pair[1] * depth + b', "name": "cut \\ud83d"}'
    others = [[json.dumps(value).encode() for value in values] for values in (before, after)]
    records = [*others[0], deep, *others[1]]

    assert split(b"[" + b" ,\n".join(records) + b"]") == records
    for end in (b"", b",", b',{"a"'):
        with pytest.raises(TruncatedError):
            split(b"[" + b",".join(records) + end)
    for end in (b"] []", b"]]", b",,1]", b",]", b",{1}]"):
        with pytest.raises(MalformedError):
            split(b"[" + b",".join(records) + end)


@pytest.mark.parametrize(
    ("body", "name"),
    [
        (b"", "an empty body"), (b" \n", "an empty body"), (b'{"error":1}', "a JSON object"),
        (b'{"err', "a JSON object"),
        (b"<html></html>", "HTML"), (b"null", "no JSON array"), (b"[1, 2]", "no object"), (b"[[]]", "no object"),
        (b'["a"]', "no object"),
    ],
)  # fmt: skip
def test_what_is_no_array_of_records_is_named(body: bytes, name: str) -> None:
    with pytest.raises(NotRecordsError, match=name):
        split(body)


def test_one_element_that_is_no_object_is_a_record_like_the_others() -> None:
    assert split(b'[1,{"a":1},"x"]') == [b"1", b'{"a":1}', b'"x"']
