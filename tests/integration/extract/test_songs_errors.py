"""What PostgreSQL says when the catalogue cannot be read: whether it passes, and its own words, but no secret."""

import threading
from contextlib import closing

import psycopg2
import pytest
from psycopg2.extensions import make_dsn

from deftunes.adapters.postgres_errors import TRANSIENT_STATES
from deftunes.core.errors import DeftunesError, RetriableError
from song_catalog.songs import COLUMNS
from support.landed_songs import LandedSongs

FINAL_STATES = (
    "08004", "08P01", "22012", "25P03", "25P04", "26000", "28000", "28P01", "3D000", "42501", "42P01", "42703", "53100",
    "53400", "54000", "55000", "57014", "57P04", "58000", "58030", "58P01", "F0000", "P0001", "XX000", "XX001",
)  # fmt: skip


def fail_while_reading(catalogue: LandedSongs, failure: str) -> None:
    """Make of the table a view whose last row does this."""
    catalogue.sql(
        f"create function deftunes.fail() returns text language plpgsql as $$ begin {failure}; return 'x'; end $$",
        "alter table deftunes.songs rename to kept",
        "insert into deftunes.kept (track_id) select 'TR' || n from generate_series(1, 100) n",
        f"create view deftunes.songs as select {', '.join(c for c in COLUMNS if c != 'title')}, "
        "case when track_id = 'TR100' then deftunes.fail() else track_id end as title from deftunes.kept",
    )


@pytest.mark.parametrize("state", [*TRANSIENT_STATES, *FINAL_STATES])
def test_each_code_passes_only_where_it_is_known_to(catalogue: LandedSongs, state: str) -> None:
    fail_while_reading(catalogue, f"raise 'the cause' using errcode = '{state}'")

    with pytest.raises(DeftunesError, match=rf"the cause \(SQLSTATE {state}\).*Nothing was changed") as caught:
        catalogue.land()

    assert isinstance(caught.value, RetriableError) is (state in TRANSIENT_STATES)
    assert catalogue.objects() == []


@pytest.fixture
def reader(catalogue: LandedSongs) -> LandedSongs:
    """The catalogue as a role of its own sees it."""
    catalogue.sql(
        "drop role if exists reader", "create role reader login", "grant usage on schema deftunes to reader",
        "grant select on deftunes.songs to reader",
    )  # fmt: skip
    seen = LandedSongs(catalogue.connection, make_dsn(catalogue.dsn, user="reader"), catalogue.lake)
    seen.land()
    return seen


def test_the_limits_of_a_source_are_named(reader: LandedSongs) -> None:
    with closing(psycopg2.connect(make_dsn(reader.dsn, user=parse_dsn_of(reader)))) as holder:
        holder.cursor().execute("lock table deftunes.songs in access exclusive mode")
        reader.sql("alter role reader set lock_timeout = 100")
        with pytest.raises(RetriableError, match="source's lock_timeout"):
            reader.land()
        reader.sql("alter role reader reset lock_timeout", "alter role reader set statement_timeout = 100")
        with pytest.raises(DeftunesError, match=r"source's statement_timeout.*raise it for this user") as caught:
            reader.land()
        assert not isinstance(caught.value, RetriableError)
        reader.sql("alter role reader reset statement_timeout")
    reader.sql("alter role reader connection limit 1")
    with closing(psycopg2.connect(reader.dsn)), pytest.raises(RetriableError, match="connection limit of this user"):
        reader.land()
    reader.sql("alter role reader connection limit -1")
    reader.land()


def parse_dsn_of(reader: LandedSongs) -> str:
    with reader.connection.cursor() as cursor:
        cursor.execute("select current_user")
        user: str = cursor.fetchall()[0][0]
    return user


def test_a_read_that_an_operator_ends_passes(reader: LandedSongs) -> None:
    with closing(psycopg2.connect(make_dsn(reader.dsn, user=parse_dsn_of(reader)))) as holder:
        holder.cursor().execute("lock table deftunes.songs in access exclusive mode")
        cancel = (
            "select pg_cancel_backend(pid) from pg_stat_activity where usename = 'reader' and wait_event_type = 'Lock'"
        )
        timer = threading.Timer(2, lambda: reader.sql(cancel))
        timer.start()
        with pytest.raises(RetriableError, match="due to user request"):
            reader.land()
        timer.join()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"password": "s3cret", "host": "127.0.0.1"}, 'password authentication failed for user "'),
        ({"sslmode": "require", "host": "127.0.0.1"}, "server does not support SSL"),
        ({"user": "sleeper"}, 'role "sleeper" is not permitted to log in'),
        ({"user": "nobody-known"}, 'role "nobody-known" does not exist'),
        ({"dbname": "none-such"}, 'database "none-such" does not exist'),
        ({"sslmode": "on", "password": "s3cret"}, "invalid sslmode value"),
        ({"host": "no-such-host.invalid", "password": "s3cret"}, "could not translate host name"),
        ({"options": "-c none.such.setting"}, "requires a value"),
    ],
)
def test_a_login_that_will_never_work_is_final_and_says_why(
    catalogue: LandedSongs, options: dict[str, str], message: str
) -> None:
    catalogue.sql("drop role if exists sleeper", "create role sleeper nologin")
    catalogue.dsn = make_dsn(catalogue.dsn, **options)
    with pytest.raises(DeftunesError) as caught:
        catalogue.land()
    assert message in str(caught.value)
    assert "s3cret" not in str(caught.value)
    assert type(caught.value) is not RetriableError or "translate" in message
