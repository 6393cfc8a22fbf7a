import gzip
from pathlib import Path

from deftunes.extract.records import RecordFile


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
