"""A lake of its own for each test of extract, on the S3 of the stack, and an empty catalogue."""

from collections.abc import Iterator
from uuid import uuid4

import psycopg2
import pytest

from deftunes.adapters.lake import Lake, open_lake
from song_catalog.songs import CREATE_TABLE
from support.landed_songs import LandedSongs
from support.stack import Stack


@pytest.fixture
def lake(stack: Stack) -> Lake:
    """An empty lake. Cheaper than `settings`, which also empties databases and the catalog."""
    return open_lake(stack.settings.model_copy(update={"lake": f"{stack.settings.lake}/{uuid4()}"}))


@pytest.fixture
def catalogue(stack: Stack, lake: Lake) -> Iterator[LandedSongs]:
    assert stack.settings.songs_dsn
    dsn = stack.settings.songs_dsn.get_secret_value()
    connection = psycopg2.connect(dsn)
    connection.autocommit = True
    found = LandedSongs(connection, dsn, lake)
    found.sql("drop schema if exists deftunes cascade", "create schema deftunes", CREATE_TABLE)
    yield found
    connection.rollback()
    connection.autocommit = True
    found.sql("drop schema if exists deftunes cascade")
    connection.close()
