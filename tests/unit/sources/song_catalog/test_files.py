"""Files that are not what they should be are refused before anything is touched."""

import gzip
import sqlite3
from pathlib import Path

import pytest

from song_catalog.errors import CatalogError
from song_catalog.loader import load_csv, read_sqlite
from song_catalog.songs import COLUMNS


def make_database(path: Path, columns: tuple[str, ...] = COLUMNS, rows: tuple[tuple[object, ...], ...] = ()) -> Path:
    connection = sqlite3.connect(path)
    with connection:
        connection.execute(f"create table songs ({', '.join(columns)})")
        connection.executemany(f"insert into songs values ({', '.join('?' * len(columns))})", rows)
    connection.close()
    return path


def test_a_database_is_read_whatever_the_order_of_its_columns(tmp_path: Path) -> None:
    row = tuple(range(14))
    file = make_database(tmp_path / "track_metadata.db", COLUMNS[::-1], (row,))
    assert [tuple(song) for song in read_sqlite(file)] == [row[::-1]]


def test_an_empty_mbid_of_a_database_is_null_and_an_empty_title_is_not(tmp_path: Path) -> None:
    row = ("TR", "", "SO", "", "AR", "", "", 1.5, -1.0, float("nan"), 0, 1, -1, 0)
    (song,) = read_sqlite(make_database(tmp_path / "track_metadata.db", rows=(row,)))
    assert song.artist_mbid is None
    assert song.title == ""
    assert song.artist_familiarity == -1


def test_a_database_without_a_column_is_refused(tmp_path: Path) -> None:
    file = make_database(tmp_path / "track_metadata.db", COLUMNS[:-1])
    with pytest.raises(CatalogError, match="Missing: shs_work"):
        list(read_sqlite(file))


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "track_metadata.db"
    file.write_text("not a database at all")
    with pytest.raises(CatalogError, match=r"expected MSD's track_metadata.db .* got: file is not a database"):
        list(read_sqlite(file))


@pytest.mark.parametrize(
    ("header", "says"),
    [
        (",".join(COLUMNS[1:]), "Missing: track_id"),
        (",".join((*COLUMNS, "extra")), "Missing: none, but there are others"),
        ("", "Got: none"),
    ],
)
def test_a_csv_with_other_columns_is_refused(tmp_path: Path, header: str, says: str) -> None:
    file = tmp_path / "songs.csv.gz"
    file.write_bytes(gzip.compress(f"{header}\r\n".encode()))
    with pytest.raises(CatalogError, match=says):
        load_csv(None, file, replace=False)  # type: ignore[arg-type]
