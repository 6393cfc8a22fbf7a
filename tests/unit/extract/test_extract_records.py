import gzip
import json
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deftunes.core.records import canonical
from deftunes.extract.records import RecordFile

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def shuffled(value: Any, rng: Random) -> Any:
    """The same value with the keys of every object in another order."""
    if isinstance(value, dict):
        return {key: shuffled(value[key], rng) for key in rng.sample(sorted(value), len(value))}
    return [shuffled(inner, rng) for inner in value] if isinstance(value, list) else value


@settings(max_examples=50, deadline=None)
@given(VALUES, st.randoms(use_true_random=False))
def test_neither_the_order_of_keys_nor_white_space_is_content(value: Any, rng: Random) -> None:
    plain = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    other = json.dumps(shuffled(value, rng), indent=1).replace("\n", " ").encode()

    assert canonical(plain) == canonical(other)
    assert json.loads(canonical(plain)) == value


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('{"price":1.10}', '{"price":1.1}'),
        ('{"price":1.1}', '{"price":"1.1"}'),
        ('{"price":1}', '{"price":1.0}'),
        ('{"price":1e2}', '{"price":100.0}'),
        ('{"price":1e999}', '{"price":2e999}'),
        ('{"n":123456789012345678901234567890}', '{"n":123456789012345678901234567891}'),
        ('{"n":18446744073709551615}', '{"n":18446744073709551616}'),
        ('{"a":[1,2]}', '{"a":[2,1]}'),
        ('{"a":null}', "{}"),
        ('{"a":"cut \\ud83d"}', '{"a":"cut \\ud83e"}'),
        ('{"a":""}', '{"a":null}'),
        ("1", '"1"'),
    ],
)
def test_different_content_is_different(one: str, other: str) -> None:
    assert canonical(one.encode()) != canonical(other.encode())


def test_a_number_too_long_for_an_int_is_its_own_form() -> None:
    record = b'{"n":%b}' % (b"9" * 5000)

    assert b"9" * 5000 in canonical(record)


def landed(path: Path, records: list[bytes]) -> tuple[bytes, str]:
    file = RecordFile(path)
    for record in records:
        file.add(record)
    digest = file.finish()
    assert file.rows == len(records)
    return path.read_bytes(), digest


def test_a_file_holds_every_record_as_sent_and_its_bytes_do_not_depend_on_the_time(tmp_path: Path) -> None:
    records = [b'{"price": 1.10, "name": "\xc3\xbc"}', b"17"] * 9000

    body, digest = landed(tmp_path / "one" / "part.jsonl.gz", records)

    assert gzip.decompress(body).split(b"\n") == [*records, b""]
    assert body[4:8] == b"\0\0\0\0"
    assert landed(tmp_path / "other.jsonl.gz", records) == (body, digest)
    assert landed(tmp_path / "turned.jsonl.gz", records[::-1])[1] == digest
    assert landed(tmp_path / "short.jsonl.gz", records[:-1])[1] != digest


def test_a_file_without_records_is_no_object(tmp_path: Path) -> None:
    file = RecordFile(tmp_path / "part.jsonl.gz")
    file.finish()
    assert file.files() == ()
