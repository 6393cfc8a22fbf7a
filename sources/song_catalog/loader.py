"""Fill `deftunes.songs`, whatever the songs come from.

    generator | songs.csv[.gz] | track_metadata.db  ->  COPY  ->  deftunes.songs

All of it is one transaction: readers see the old catalogue or the new one, whole.
"""

import csv
import gzip
import io
import sqlite3
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import IO, Any, cast

import psycopg2
from psycopg2.extensions import connection as Connection  # noqa: N812 - a class, named in lower case by the driver

from song_catalog.errors import CatalogError
from song_catalog.songs import COLUMNS, CREATE_TABLE, SCHEMA, TABLE, Song

_CHUNK = 1 << 20
_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


def load_songs(connection: Connection, songs: Iterable[Song], *, replace: bool) -> int:
    """Make the table of these songs; the number of rows.

    Raises:
        CatalogError: the table is there already and `replace` is off, or PostgreSQL refuses a row.

    """
    return _load(connection, replace, f"copy {TABLE} from stdin", _readable(_copy_line(song) for song in songs))


def load_csv(connection: Connection, file: Path, *, replace: bool) -> int:
    """Make the table of a CSV in RFC 4180 with a header line, packed or not; an empty field is NULL.

    The rows go to PostgreSQL's own CSV reader as they are, so that nothing here can change a byte.

    Raises:
        CatalogError: as `load_songs`, or the header does not name exactly the fourteen columns.

    """
    with cast("IO[bytes]", gzip.open(file) if file.suffix == ".gz" else file.open("rb")) as stream:
        header = next(csv.reader([stream.readline().decode("utf-8-sig")]), [])
        _check_columns(file, header)
        names = ", ".join(header)
        copy = f"copy {TABLE} ({names}) from stdin (format csv, null '', force_null ({names}))"
        return _load(connection, replace, copy, stream)


def read_sqlite(file: Path) -> Iterator[Song]:
    """The songs of the Million Song Dataset's `track_metadata.db`, in its order; an empty mbid is NULL.

    Raises:
        CatalogError: no such table or columns, or a value that is not of the column's type.

    """
    connection = sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True)
    try:
        _check_columns(file, [row[1] for row in connection.execute("pragma table_info(songs)")])
        for row in connection.execute(f"select {', '.join(COLUMNS)} from songs"):  # noqa: S608 - names of ours
            song = Song(*row)
            yield song._replace(artist_mbid=song.artist_mbid or None)
    except sqlite3.DatabaseError as error:
        raise CatalogError(f"expected MSD's track_metadata.db (SQLite) in {file}, got: {error}") from error
    finally:
        connection.close()


def _check_columns(file: Path, got: list[str]) -> None:
    if sorted(got) != sorted(COLUMNS):
        missing = sorted(set(COLUMNS) - set(got))
        raise CatalogError(
            f"{file} does not hold MSD's columns. Expected: {', '.join(COLUMNS)}. Got: {', '.join(got) or 'none'}."
            f" Missing: {', '.join(missing) or 'none, but there are others'}"
        )


def is_loaded(connection: Connection) -> bool:
    """Whether the table is there."""
    with connection.cursor() as cursor:
        cursor.execute("select to_regclass(%s)", (TABLE,))
        return cursor.fetchone() != (None,)


def _load(connection: Connection, replace: bool, copy: str, rows: Any) -> int:
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute("set local client_encoding to 'UTF8'")
            cursor.execute(f"create schema if not exists {SCHEMA}")
            if is_loaded(connection):
                if not replace:
                    raise CatalogError(f"expected no table {TABLE}, got one; to replace it, add --replace")
                cursor.execute(f"drop table {TABLE}")
            cursor.execute(CREATE_TABLE)
            cursor.copy_expert(copy, rows, _CHUNK)
            return cursor.rowcount
    except psycopg2.DataError as error:
        raise CatalogError(f"PostgreSQL refused a row of the catalogue; nothing was changed: {error}") from error


def copy_songs(connection: Connection, songs: Iterable[Song]) -> None:
    """Add songs to the table, in the caller's transaction."""
    with connection.cursor() as cursor:
        cursor.copy_expert(f"copy {TABLE} from stdin", _readable(_copy_line(song) for song in songs), _CHUNK)


def _copy_line(song: Song) -> str:
    return "\t".join([
        "\\N" if value is None else _escaped(value) if isinstance(value, str) else str(value) for value in song
    ])  # fmt: skip


def _escaped(text: str) -> str:
    # Most texts need nothing, and asking is ten times as fast as translating.
    return text if text.isprintable() and "\\" not in text else text.translate(_ESCAPES)


def _readable(lines: Iterator[str]) -> io.BufferedReader:
    return io.BufferedReader(_Lines(lines), _CHUNK)


class _Lines(io.RawIOBase):
    """Lines as a file of UTF-8 text, made while it is read: memory stays constant however many there are."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines = lines
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._rest:
            self._rest = "".join(f"{line}\n" for line in islice(self._lines, 2048)).encode()
        taken = self._rest[: len(buffer)]
        buffer[: len(taken)] = taken
        self._rest = self._rest[len(taken) :]
        return len(taken)
