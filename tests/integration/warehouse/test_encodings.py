"""Text reaches the warehouse and comes back as it was sent, whatever client, role, string and server say."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deftunes.adapters.warehouse import Warehouse
from deftunes.adapters.warehouse_drivers import open_warehouse
from deftunes.core.errors import DeftunesError
from deftunes.core.settings import exported
from support.cluster import Cluster
from support.silver import T0, song_row
from support.warehouse import WarehousePipeline

DAY = timedelta(days=1)
D1, D3 = T0.date(), T0.date() + 2 * DAY
WORDS = "Världen É Din \u2013 \u201cnon\u201d 中 😀"


@pytest.fixture(scope="module")
def latin(cluster: Cluster) -> str:
    """A role with an encoding of its own."""
    cluster.sql("create role latin login superuser; alter role latin set client_encoding = 'LATIN1'")
    return "latin"


@pytest.mark.parametrize(
    ("variables", "extra"),
    [
        ({}, ""),
        ({"PGCLIENTENCODING": "LATIN1"}, ""),
        ({"PGOPTIONS": "-c client_encoding=LATIN1"}, ""),
        ({"PGDATESTYLE": "SQL, DMY", "PGTZ": "Asia/Tokyo"}, ""),
        ({}, "?client_encoding=LATIN1"),
        ({}, "?options=-c%20client_encoding%3DLATIN1"),
    ],
)
def test_text_is_the_same_in_gold(
    cluster: Cluster, databases: Callable[..., str], end_of: Callable[..., WarehousePipeline], latin: str,
    variables: dict[str, str], extra: str,
) -> None:  # fmt: skip
    database = databases()
    with exported(variables):
        end = end_of(cluster.dsn(database, latin, extra))
        end.silver.upsert_songs([song_row(1, title=WORDS, artist_name=WORDS)])
        end.load()
        end.model(D1, D3)
        for table in ("deftunes_transform.songs", "deftunes_serving.dim_songs"):
            assert (WORDS,) in end.warehouse.query(f"select title from {table}").rows
            stored = f"select encode(convert_to(title, 'UTF8'), 'hex') from {table}"
            assert WORDS.encode().hex() in cluster.sql(stored, database).splitlines()
        named = "select 1 from deftunes_serving.dim_artists where artist_name = "
        assert end.warehouse.query(f"{named}'{WORDS}'").rows == [(1,)]


def test_a_server_that_stores_bytes_has_the_bytes(
    cluster: Cluster, databases: Callable[..., str], end_of: Callable[..., WarehousePipeline]
) -> None:
    database = databases("SQL_ASCII")
    end = end_of(cluster.dsn(database))
    end.silver.upsert_songs([song_row(1, title=WORDS)])
    end.load()
    end.model(D1, D3)
    assert (WORDS,) in end.warehouse.query("select title from deftunes_serving.dim_songs").rows
    stored = cluster.sql("select encode(title::bytea, 'hex') from deftunes_serving.dim_songs", database)
    assert WORDS.encode().hex() in stored.splitlines()


@pytest.mark.parametrize("encoding", ["LATIN1", "WIN1252", "EUC_JP"])
def test_a_database_that_cannot_hold_every_text_is_refused_as_a_whole(
    cluster: Cluster, databases: Callable[..., str], end_of: Callable[..., WarehousePipeline], encoding: str
) -> None:
    database = databases(encoding)
    end = end_of(cluster.dsn(database))
    for call in (end.load, lambda: end.model(D1, D3), lambda: end.warehouse.query("select 1")):
        with pytest.raises(DeftunesError, match=f"in UTF8, which holds every text, got {encoding}") as refused:
            call()
        assert type(refused.value) is DeftunesError
    assert cluster.sql("select count(*) from pg_namespace where nspname like 'deftunes%'", database) == "0"


def test_bytes_that_are_no_text_are_named(cluster: Cluster, databases: Callable[..., str]) -> None:
    warehouse = open_warehouse(cluster.dsn(databases("SQL_ASCII")))
    with pytest.raises(DeftunesError, match="invalid byte sequence"):
        warehouse.query("select convert_from('\\xff'::bytea, 'SQL_ASCII')")
    with pytest.raises(DeftunesError, match="text in UTF-8"):
        warehouse.query("select '\udcff'")


@pytest.fixture(scope="module", params=["UTF8", "SQL_ASCII"])
def held(request: pytest.FixtureRequest, cluster: Cluster, databases: Callable[..., str]) -> Warehouse:
    warehouse = open_warehouse(cluster.dsn(databases(request.param)))
    with warehouse.hold(exclusive=True) as session, session.transaction():
        session.run("create table held (value text)")
    return warehouse


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=50))
def test_any_text_comes_back(held: Warehouse, text: str) -> None:
    with held.hold(exclusive=False) as session, session.transaction():
        session.run("delete from held")
        session.run("insert into held values (%s)", (text,))
        assert session.run("select value from held") == [(text,)]
    assert held.query("select value from held").rows == [(text,)]
