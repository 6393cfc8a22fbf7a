"""The catalogue in a real PostgreSQL: what was given is there, byte for byte, or nothing has changed."""

import csv
import gzip
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from song_catalog.generator import generate
from song_catalog.songs import COLUMNS, Song
from support.catalogue import Catalogue, new_catalogue
from support.stack import Stack

ROWS = 1200


@pytest.fixture(scope="module")
def database(stack: Stack) -> Iterator[Catalogue]:
    with new_catalogue(stack.settings, "song_catalog_test") as catalogue:
        yield catalogue


@pytest.fixture
def catalogue(database: Catalogue) -> Catalogue:
    database.clear()
    return database


def by_key(songs: list[Song]) -> list[tuple[Any, ...]]:
    return sorted(map(tuple, songs), key=lambda song: str(song[0]))


def canonical(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """Python and PostgreSQL write the same double, 0.00001 and 1e-05, in two ways."""
    return tuple(float(value) if at in {7, 8, 9} and value else value for at, value in enumerate(row))


def write_csv(file: Path, songs: list[Song]) -> None:
    with gzip.open(file, "wt", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(COLUMNS)
        writer.writerows(songs)


def test_the_table_is_the_real_one(catalogue: Catalogue) -> None:
    catalogue.run("load", "--rows", 1)
    columns = catalogue.query(
        "select column_name, data_type, is_nullable from information_schema.columns"
        " where table_schema = 'deftunes' and table_name = 'songs' order by ordinal_position"
    )
    assert [name for name, _, _ in columns] == list(COLUMNS)
    types = {name: kind for name, kind, _ in columns}
    assert {types[name] for name in ("duration", "artist_familiarity", "artist_hotttnesss")} == {"double precision"}
    assert {types[name] for name in ("year", "track_7digitalid", "shs_perf", "shs_work")} == {"integer"}
    assert {types[name] for name in COLUMNS[:7]} == {"character varying", "text"}
    assert {nullable for _, _, nullable in columns} == {"YES"}
    assert catalogue.query("select count(*) from pg_index where indrelid = 'deftunes.songs'::regclass") == [(0,)]


def test_generated_songs_arrive_as_they_are(catalogue: Catalogue) -> None:
    assert json.loads(catalogue.run("load", "--rows", ROWS, "--seed", 5).stdout)["rows"] == ROWS
    assert sorted(catalogue.songs(), key=lambda song: song[0]) == by_key(list(generate(5, ROWS)))


def test_a_csv_arrives_byte_for_byte(catalogue: Catalogue, tmp_path: Path) -> None:
    file = tmp_path / "songs.csv.gz"
    # An empty field is NULL in such a file, so an empty title cannot be in it.
    songs = [song._replace(title=song.title or None) for song in generate(1, ROWS)]
    write_csv(file, songs)
    catalogue.run("load", "--file", file)
    with gzip.open(file, "rt", encoding="utf-8", newline="") as stream:
        sent = [tuple(field or None for field in row) for row in csv.reader(stream)][1:]
    came = catalogue.query(f"select {', '.join(f'{name}::text' for name in COLUMNS)} from deftunes.songs")
    assert len(came) == ROWS
    assert sorted(map(canonical, came), key=str) == sorted(map(canonical, sent), key=str)


def test_the_database_of_the_million_songs_is_loaded(catalogue: Catalogue, tmp_path: Path) -> None:
    file = tmp_path / "track_metadata.db"
    songs = list(generate(1, ROWS))
    with closing(sqlite3.connect(file)) as database, database:
        database.execute(
            "create table songs (track_id text primary key, title text, song_id text, release text, artist_id text,"
            " artist_mbid text, artist_name text, duration real, artist_familiarity real, artist_hotttnesss real,"
            " year int, track_7digitalid int, shs_perf int, shs_work int)"
        )
        stored = [song._replace(artist_mbid=song.artist_mbid or "") for song in songs]
        database.executemany(f"insert into songs values ({', '.join('?' * 14)})", stored)
    catalogue.run("load", "--file", file)
    assert sorted(catalogue.songs(), key=lambda song: song[0]) == by_key(songs)


def test_a_table_that_is_there_is_only_replaced_on_request(catalogue: Catalogue) -> None:
    catalogue.run("load", "--rows", 10)
    before = catalogue.songs()
    refused = catalogue.run("load", "--rows", 20, exit_code=1)
    assert refused.stderr == "error: expected no table deftunes.songs, got one; to replace it, add --replace\n"
    assert catalogue.songs() == before
    catalogue.run("load", "--rows", 20, "--replace")
    assert len(catalogue.songs()) == 20


def test_a_table_that_is_there_can_be_left_alone(catalogue: Catalogue) -> None:
    assert json.loads(catalogue.run("load", "--rows", 10, "--if-missing").stdout)["rows"] == 10
    before = catalogue.songs()
    assert json.loads(catalogue.run("load", "--rows", 20, "--if-missing").stdout)["rows"] == 0
    assert catalogue.songs() == before


def test_a_file_with_a_bad_row_leaves_the_old_catalogue(catalogue: Catalogue, tmp_path: Path) -> None:
    catalogue.run("load", "--rows", 10)
    before = catalogue.songs()
    file = tmp_path / "songs.csv.gz"
    write_csv(file, [*generate(1, 10), Song(*"abcdefghijklmn")])
    refused = catalogue.run("load", "--file", file, "--replace", exit_code=1)
    assert "PostgreSQL refused a row of the catalogue; nothing was changed" in refused.stderr
    assert catalogue.songs() == before


def test_mutations_change_what_was_asked_for(catalogue: Catalogue) -> None:
    catalogue.run("load", "--rows", ROWS)
    before = {song[0]: song for song in catalogue.songs()}
    done = json.loads(catalogue.run("mutate", "--seed", 3, "--updates", 50, "--inserts", 20, "--deletes", 7).stdout)
    after = {song[0]: song for song in catalogue.songs()}
    assert done == {"updated": 50, "inserted": 20, "deleted": 7}
    assert len(before.keys() - after.keys()) == 7
    assert len(after.keys() - before.keys()) == 20
    changed = [key for key in before.keys() & after.keys() if before[key] != after[key]]
    assert len(changed) == 50
    fields = {COLUMNS[at] for key in changed for at in range(14) if before[key][at] != after[key][at]}
    assert fields == {"title", "artist_hotttnesss", "year", "artist_mbid", "artist_name"}


def test_mutations_are_a_function_of_the_seed(catalogue: Catalogue) -> None:
    states = []
    for seed in (3, 3, 4):
        catalogue.run("load", "--rows", ROWS, "--replace")
        catalogue.run("mutate", "--seed", seed, "--updates", 50, "--inserts", 20, "--deletes", 7)
        states.append(catalogue.songs())
    assert states[0] == states[1]
    assert states[0] != states[2]


def test_more_changes_than_songs_are_refused(catalogue: Catalogue) -> None:
    catalogue.run("load", "--rows", 10)
    before = catalogue.songs()
    refused = catalogue.run("mutate", "--seed", 1, "--deletes", 11, exit_code=1)
    assert "expected at least 11 songs to update and delete, got 10" in refused.stderr
    assert catalogue.songs() == before


def test_a_catalogue_can_be_spoiled_and_healed(catalogue: Catalogue) -> None:
    catalogue.run("load", "--rows", 10)
    before = catalogue.songs()
    cases = json.loads(catalogue.run("spoil").stdout)
    added = sum(len(case["songs"]) for case in cases)
    assert len(catalogue.songs()) == 10 + added
    catalogue.run("spoil", "--kinds", "track_id_null,song_id_short")
    assert len(catalogue.songs()) == 12
    assert catalogue.query("select count(*) from deftunes.songs where track_id is null") == [(1,)]
    catalogue.run("spoil", "--kinds", "none")
    assert catalogue.songs() == before


def test_a_missing_dsn_is_named() -> None:
    missing = Catalogue("").run("load", exit_code=1)
    assert (
        missing.stderr
        == "error: expected a libpq string in the environment variable CATALOGUE_UNDER_TEST, got nothing\n"
    )


def test_the_command_line_is_a_module_to_run(catalogue: Catalogue) -> None:
    command = [sys.executable, "-m", "song_catalog", "load", "--dsn-env", "CATALOG_DSN", "--rows", "3"]
    subprocess.run(command, env={**os.environ, "CATALOG_DSN": catalogue.dsn}, check=True, capture_output=True)
    assert len(catalogue.songs()) == 3
