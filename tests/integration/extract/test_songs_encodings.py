"""Text of the catalogue is landed as UTF-8 whatever says otherwise; what cannot be holds back its row alone."""

from collections.abc import Iterator
from contextlib import closing

import psycopg2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg2.extensions import make_dsn

from deftunes.adapters.lake import Lake
from deftunes.core.entities.songs import UNREADABLE
from deftunes.core.errors import DeftunesError, RetriableError
from deftunes.extract.songs import CHANGES, FULL
from song_catalog.songs import CREATE_TABLE
from support.landed_songs import LandedSongs, key
from support.stack import Stack

REASON = "expected text that can be given as UTF-8, got other bytes (server encoding {})"


@pytest.fixture
def encoded(stack: Stack, lake: Lake, request: pytest.FixtureRequest) -> Iterator[LandedSongs]:
    """An empty catalogue in a database of the encoding that the test names."""
    assert stack.settings.songs_dsn
    server = stack.settings.songs_dsn.get_secret_value()
    with closing(psycopg2.connect(server)) as admin:
        admin.autocommit = True
        with admin.cursor() as cursor:
            cursor.execute("drop database if exists encoded with (force)")
            cursor.execute(
                f"create database encoded encoding '{request.param}' locale 'C' locale_provider libc template template0"
            )
        dsn = make_dsn(server, dbname="encoded")
        # As it is: the driver itself knows fewer encodings than the server.
        with closing(psycopg2.connect(dsn, client_encoding="SQL_ASCII")) as connection:
            connection.autocommit = True
            songs = LandedSongs(connection, dsn, lake)
            songs.sql("create schema deftunes", CREATE_TABLE)
            yield songs
        with admin.cursor() as cursor:
            cursor.execute("drop database encoded with (force)")


def insert(songs: LandedSongs, number: int, title: bytes, encoding: str) -> None:
    with songs.connection.cursor() as cursor:
        cursor.execute(
            "insert into deftunes.songs (track_id, title, year) values (%s, convert_from(decode(%s, 'hex'), %s), 1)",
            (key(number), title.hex(), encoding),
        )


def server_encoding(songs: LandedSongs) -> str:
    with songs.connection.cursor() as cursor:
        cursor.execute("show server_encoding")
        return cursor.fetchall()[0][0]


@pytest.mark.parametrize("encoded", ["SQL_ASCII"], indirect=True)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    titles=st.lists(
        st.one_of(st.binary(min_size=1, max_size=8), st.text(min_size=1, max_size=8).map(str.encode)).filter(
            lambda title: b"\0" not in title
        ),
        min_size=1,
        max_size=6,
    )
)
def test_any_bytes_are_exact_text_or_hold_back_their_row(encoded: LandedSongs, titles: list[bytes]) -> None:
    encoded.sql("truncate deftunes.songs")
    for number, title in enumerate(titles):
        insert(encoded, number, title, "SQL_ASCII")

    notes = encoded.land(accept_shrink=True, published=None).notes

    bad = 0
    for row, title in zip(encoded.rows(), titles, strict=True):
        try:
            assert row["title"] == title.decode()
            assert row.get(UNREADABLE) is None
        except UnicodeDecodeError:
            bad += 1
            assert row["title"].isascii()
            assert row[UNREADABLE] == REASON.format("SQL_ASCII")
        assert row["year"] == 1
    assert bool(notes) is bool(bad)
    assert all(f": {bad} (server encoding SQL_ASCII)" in note for note in notes)


@pytest.mark.parametrize(
    ("encoded", "good", "bad"),
    [
        ("WIN1252", "Ça va \u2013".encode("cp1252"), b"caf\x81"),
        ("EUC_JP", "日本".encode("euc_jp"), b"\xa2\xaf"),
        ("SQL_ASCII", "Världen".encode(), "Världen".encode("latin1")),
    ],
    indirect=["encoded"],
)
def test_changes_and_keys_are_landed_beside_text_that_cannot_be_given(
    encoded: LandedSongs, good: bytes, bad: bytes
) -> None:
    encoding = server_encoding(encoded)
    for number, title in enumerate([good, b"plain", good]):
        insert(encoded, number, title, encoding)
    encoded.land()
    encoded.publish()
    before = encoded.rows()
    assert UNREADABLE not in before[0]
    insert(encoded, 7, bad, encoding)
    insert(encoded, 8, good, encoding)

    encoded.land()

    assert (encoded.kind(), encoded.landed_keys()) == (CHANGES, [key(7), key(8)])
    assert [row[UNREADABLE] for row in encoded.rows()] == [REASON.format(encoding), None]
    assert encoded.rows()[1]["title"] == before[0]["title"]
    assert encoded.table(1).num_rows == 5


@pytest.mark.parametrize("encoded", ["SQL_ASCII"], indirect=True)
def test_a_key_that_cannot_be_given_is_a_key(encoded: LandedSongs) -> None:
    insert(encoded, 1, b"a", "SQL_ASCII")
    encoded.sql("insert into deftunes.songs (track_id) values (convert_from('\\xe9', 'SQL_ASCII'))")

    encoded.land()

    assert (encoded.kind(), encoded.landed_keys()) == (FULL, [key(1), "\\351"])
    encoded.publish()
    assert encoded.land().written == ()


@pytest.mark.parametrize("encoded", ["SQL_ASCII"], indirect=True)
def test_the_keys_of_a_landing_that_was_read_twice_count_once(encoded: LandedSongs) -> None:
    for number in range(2000):  # some batches are read before the row that stops the answer
        insert(encoded, number, b"plain", "SQL_ASCII")
    insert(encoded, 2000, b"\xe9", "SQL_ASCII")
    encoded.land()
    keys = encoded.in_use.source["keys"]
    with encoded.connection.cursor() as cursor:
        cursor.execute("select mod(sum(hashtextextended(track_id, 0)), 2::numeric ^ 64)::text from deftunes.songs")
        assert int(cursor.fetchall()[0][0]) % 2**64 == int(keys)
    encoded.publish()
    assert encoded.land().written == ()


@pytest.mark.parametrize("encoded", ["SQL_ASCII"], indirect=True)
@pytest.mark.parametrize(
    "taken",
    ["revoke usage on language plpgsql from public", "drop extension plpgsql cascade"],
    ids=["right", "language"],
)
def test_without_a_language_to_search_in_the_cause_and_the_way_on_are_named(encoded: LandedSongs, taken: str) -> None:
    insert(encoded, 1, b"plain", "SQL_ASCII")
    insert(encoded, 2, b"\xe9", "SQL_ASCII")
    encoded.sql(taken, "drop role if exists reader_of_bytes", "create role reader_of_bytes login")
    encoded.sql(*(f"grant {right} to reader_of_bytes" for right in (
        "usage on schema deftunes", "select on deftunes.songs"
    )))  # fmt: skip
    encoded.dsn = make_dsn(encoded.dsn, user="reader_of_bytes")
    with pytest.raises(DeftunesError, match=r"got other bytes in some rows.* needs PL/pgSQL .*plpgsql") as refused:
        encoded.land()
    assert not isinstance(refused.value, RetriableError)
    encoded.sql("drop owned by reader_of_bytes", "drop role reader_of_bytes")


@pytest.mark.parametrize("encoded", ["MULE_INTERNAL"], indirect=True)
def test_an_encoding_that_nothing_converts_is_named(encoded: LandedSongs) -> None:
    with pytest.raises(DeftunesError, match="MULE_INTERNAL") as refused:
        encoded.land()
    assert not isinstance(refused.value, RetriableError)


@pytest.mark.parametrize("encoded", ["LATIN1", "UTF8"], indirect=True)
@pytest.mark.parametrize("said", ["PGCLIENTENCODING=LATIN1", "PGCLIENTENCODING=none-such", "role", "PGOPTIONS"])
def test_nothing_else_says_which_encoding_the_client_has(
    encoded: LandedSongs, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoding = server_encoding(encoded)
    insert(encoded, 1, "Ça".encode({"LATIN1": "latin1", "UTF8": "utf-8"}[encoding]), encoding)
    name, _, value = said.partition("=")
    if value:
        monkeypatch.setenv(name, value)
    elif said == "PGOPTIONS":
        monkeypatch.setenv(said, "-c client_encoding=LATIN1 -c extra_float_digits=-15")
    else:
        encoded.sql("alter role current_user set client_encoding = 'LATIN1'")
    try:
        encoded.land()
    finally:
        encoded.sql("alter role current_user reset client_encoding")
    assert encoded.rows()[0]["title"] == "Ça"
