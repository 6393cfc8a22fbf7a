"""Numbers of every type that PostgreSQL may have for the catalogue, landed and typed: exactly, or a reason."""

import random
import struct
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import psycopg2
import pytest
from psycopg2.extras import execute_values

from deftunes.adapters.lake import open_lake
from deftunes.core.entities import Entity
from deftunes.core.rules import load_ruleset
from deftunes.transform.songs import prepare_statements, validate
from song_catalog.songs import CREATE_TABLE
from support.engines import ENGINES, open_engine
from support.landed_songs import LandedSongs, key

if TYPE_CHECKING:
    from support.stack import Stack

COLUMNS = {"duration": "double", "year": "int", "track_7digitalid": "bigint"}
ALL_NUMBERS = (
    "duration",
    "artist_familiarity",
    "artist_hotttnesss",
    "year",
    "track_7digitalid",
    "shs_perf",
    "shs_work",
)
SPECIAL = ["NaN", "Infinity", "-Infinity"]
EDGES = [
    str(sign * (2**power + step)) for power in (0, 15, 24, 31, 32, 53, 63) for step in (-1, 0, 1) for sign in (-1, 1)
]
FRACTIONS = ["0.1", "7.9", "-7.9", "1e30", "-1e-30", "252.05505", "0.1000000000000000000001", "1e400", "12.50"]
ROWS = 300


def values(type_: str) -> list[str]:
    """Edges, and as many random values of the type as make up ROWS."""
    rolled = random.Random(type_)
    bits = {"int2": 16, "int4": 32, "int8": 64}.get(type_)
    if bits:
        edges = [edge for edge in EDGES if -(2 ** (bits - 1)) <= int(edge) < 2 ** (bits - 1)]
        return edges + [str(rolled.getrandbits(bits) - 2 ** (bits - 1)) for _ in range(ROWS - len(edges))]
    edges = [*SPECIAL, *EDGES, *FRACTIONS]
    if type_ in {"float4", "float8"}:
        edges.remove("1e400")  # PostgreSQL has no such double
        shape = {"float4": "<f", "float8": "<d"}[type_]
        size = struct.calcsize(shape)
        of_bits = [repr(struct.unpack(shape, rolled.randbytes(size))[0]) for _ in range(ROWS - len(edges))]
        return edges + of_bits
    if type_ in {"text", "varchar"}:
        edges += ["seven", "", "1.5d", "0x10", " 1999 ", "1_000", "7.", "+3"]
    digits = [f"{rolled.randint(-(10**30), 10**30)}e{rolled.randint(-40, 10)}" for _ in range(100)]
    doubles = [repr(struct.unpack("<d", rolled.randbytes(8))[0]) for _ in range(100)]
    doubles = [value for value in doubles if value != "nan"]
    return [*edges, *digits, *doubles, *(str(rolled.randint(-(2**65), 2**65)) for _ in range(ROWS - len(edges) - 200))]


@pytest.fixture
def songs(stack: "Stack") -> Iterator[LandedSongs]:
    assert stack.settings.songs_dsn
    dsn = stack.settings.songs_dsn.get_secret_value()
    lake = open_lake(stack.settings.model_copy(update={"lake": f"{stack.settings.lake}/{uuid4()}"}))
    with closing(psycopg2.connect(dsn)) as connection:
        connection.autocommit = True
        songs = LandedSongs(connection, dsn, lake)
        songs.sql("drop schema if exists deftunes cascade", "create schema deftunes", CREATE_TABLE)
        yield songs
        songs.sql("drop schema deftunes cascade")


def shown(songs: LandedSongs) -> dict[tuple[str, str], str]:
    """Each value as PostgreSQL shows it, by column and track."""
    with songs.connection.cursor() as cursor:
        cursor.execute(f"select track_id, {', '.join(f'{name}::text' for name in COLUMNS)} from deftunes.songs")
        return {
            (name, row[0]): value
            for row in cursor.fetchall()
            for name, value in zip(COLUMNS, row[1:], strict=True)
            if value is not None
        }


def number_of(type_: str, silver: str, text: str) -> Decimal:
    """What PostgreSQL holds; of its floats it shows only as many digits as tell them apart."""
    if silver == "double" or type_ not in {"float4", "float8"}:
        return Decimal(text)
    return Decimal(struct.unpack("<f", struct.pack("<f", float(text)))[0] if type_ == "float4" else float(text))


def is_kept(type_: str, silver: str, got: Any, text: str) -> bool:
    if text in SPECIAL:
        return silver == "double" and repr(got) == {"NaN": "nan", "Infinity": "inf", "-Infinity": "-inf"}[text]
    sent = number_of(type_, silver, text)
    return sent == got or (silver == "double" and sent == Decimal(repr(got)))


def can_be_kept(type_: str, silver: str, text: str) -> bool:
    if text in SPECIAL:
        return silver == "double"
    sent = number_of(type_, silver, text)
    if silver == "double":
        return abs(sent) < 10**308 and is_kept(type_, silver, float(text), text)
    size = {"int": 31, "bigint": 63}[silver]
    return -(2**size) <= sent < 2**size and sent == int(sent)


@pytest.mark.parametrize("engine_name", ENGINES)
@pytest.mark.parametrize("type_", ["int2", "int4", "int8", "float4", "float8", "numeric", "text", "varchar"])
def test_every_type_ends_exactly_in_every_type_of_silver_or_with_a_reason(
    songs: LandedSongs, request: pytest.FixtureRequest, type_: str, engine_name: str
) -> None:
    songs.sql(*(f"alter table deftunes.songs alter {name} type {type_} using null" for name in ALL_NUMBERS))
    sent = [(name, text) for text in values(type_) for name in COLUMNS]
    with songs.connection.cursor() as cursor:
        for name in COLUMNS:
            rows = [(key(at), "S" * 18, "A" * 18, text) for at, (column, text) in enumerate(sent) if column == name]
            execute_values(
                cursor, f"insert into deftunes.songs (track_id, song_id, artist_id, {name}) values %s", rows,
                template=f"(%s, %s, %s, %s::{type_})",
            )  # fmt: skip
    texts = shown(songs)
    assert len(texts) == len(sent) >= ROWS
    songs.land()

    with open_engine(engine_name, request, songs.lake) as engine:
        found = validate(engine, prepare_statements(songs.in_use, "b"), [songs.in_use], load_ruleset(Entity.SONGS))
        rows = engine.rows(f"select track_id, {', '.join(COLUMNS)} from songs where reasons = ''")
        accepted = {row["track_id"]: row for row in rows}
        rejected = {record.record: record.reasons for record in found.read_rejected()}

    assert len(accepted) + len(rejected) == found.received == len(sent)
    for (name, track), text in texts.items():
        if track in accepted:
            assert is_kept(type_, COLUMNS[name], accepted[track][name], text), (
                type_,
                name,
                text,
                accepted[track][name],
            )
    for (name, track), text in texts.items():
        if track not in accepted and text not in {"seven", "", "1.5d", "0x10", "1_000"}:
            assert not can_be_kept(type_, COLUMNS[name], text), (type_, name, text)
    assert all(len(reasons) == 1 and ": expected " in reasons[0] for reasons in rejected.values())


@pytest.mark.parametrize("engine_name", ENGINES)
def test_a_text_that_cannot_be_given_is_in_quarantine_with_its_reason(
    songs: LandedSongs, request: pytest.FixtureRequest, engine_name: str
) -> None:
    with songs.connection.cursor() as cursor:
        cursor.execute("drop database if exists encoded")
        cursor.execute(
            "create database encoded encoding 'SQL_ASCII' locale 'C' locale_provider libc template template0"
        )
    dsn = psycopg2.extensions.make_dsn(songs.dsn, dbname="encoded")
    with closing(psycopg2.connect(dsn)) as connection:
        connection.autocommit = True
        encoded = LandedSongs(connection, dsn, songs.lake)
        encoded.sql(
            "create schema deftunes", CREATE_TABLE,
            "insert into deftunes.songs (track_id, song_id, artist_id, title) select 'TR' || lpad(n::text, 16, '0'), "
            "rpad('S', 18, 'O'), rpad('A', 18, 'R'), "
            "convert_from(decode(case n when 1 then 'e9' else '61' end, 'hex'), 'SQL_ASCII') "
            "from generate_series(1, 3) n",
        )  # fmt: skip
        encoded.land()
    songs.sql("drop database encoded with (force)")

    with open_engine(engine_name, request, encoded.lake) as engine:
        statements = prepare_statements(encoded.in_use, "b")
        found = validate(engine, statements, [encoded.in_use], load_ruleset(Entity.SONGS))
        (rejected,) = found.read_rejected()

    assert found.received == 3
    assert rejected.reasons == (
        "expected text that can be given as UTF-8, got other bytes (server encoding SQL_ASCII)",
    )
    assert '"title":"\\\\351"' in rejected.record
