"""A user's limits: each is named, and transient only where waiting helps."""

import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta

import psycopg2
import pytest

from deftunes.adapters.warehouse import Warehouse
from deftunes.adapters.warehouse_drivers import open_warehouse
from deftunes.core.errors import DeftunesError, RetriableError
from support.cluster import Cluster
from support.gold import assert_gold_matches_silver
from support.silver import T0, song_row
from support.warehouse import WarehousePipeline

D1, D3 = T0.date(), T0.date() + timedelta(days=2)


@pytest.fixture
def limited(cluster: Cluster, databases: Callable[..., str]) -> Iterator[Callable[[str], Warehouse]]:
    """A warehouse whose user has these settings."""
    database = databases()
    cluster.sql("create role limited login superuser")

    def limit(settings: str) -> Warehouse:
        for setting in settings.split(", "):
            cluster.sql(f"alter role limited set {setting}")
        return open_warehouse(cluster.dsn(database, "limited"), lock_timeout=5)

    yield limit
    cluster.sql(f"drop database {database} with (force); drop role limited")


def failure_of(warehouse: Warehouse, *statements: str) -> DeftunesError:
    with pytest.raises(DeftunesError) as raised:
        run(warehouse, *statements)
    return raised.value


def run(warehouse: Warehouse, *statements: str) -> None:
    with warehouse.hold(exclusive=False) as session, session.transaction():
        for statement in statements:
            session.run(statement)


def dbname_of(warehouse: Warehouse) -> str:
    ((name,),) = warehouse.query("select current_database()").rows
    return str(name)


@pytest.mark.parametrize(
    ("setting", "statement", "named", "kind"),
    [
        ("statement_timeout = '200ms'", "select pg_sleep(5)", "statement_timeout", DeftunesError),
        ("default_transaction_read_only = on", "create table t ()", "default_transaction_read_only", DeftunesError),
        ("lock_timeout = '200ms'", "select * from taken", "lock_timeout", RetriableError),
        ("temp_file_limit = '64kB', work_mem = '64kB'", "select count(*) from generate_series(1, 200000) n "
         "group by n order by -n", "temp_file_limit", DeftunesError),
    ],
)  # fmt: skip
def test_a_limit_is_named(
    cluster: Cluster, limited: Callable[[str], Warehouse], setting: str, statement: str, named: str,
    kind: type[DeftunesError],
) -> None:  # fmt: skip
    warehouse = limited(setting)
    database = dbname_of(warehouse)
    cluster.sql("create table if not exists taken ()", database)
    with closing(psycopg2.connect(cluster.dsn(database))) as other, other.cursor() as cursor:
        cursor.execute("lock taken")
        failure = failure_of(warehouse, statement)
    assert type(failure) is kind
    assert named in str(failure)


@pytest.mark.parametrize("setting", ["idle_in_transaction_session_timeout = '100ms'", "transaction_timeout = '300ms'"])
def test_what_ends_a_session_without_a_word_does_not_end_ours(
    limited: Callable[[str], Warehouse], setting: str
) -> None:
    """The driver would only know that the connection is gone, and the run would be tried again for ever."""
    warehouse = limited(setting)
    with warehouse.hold(exclusive=False) as session, session.transaction():
        threading.Event().wait(0.5)
        session.run("select 1")


@pytest.mark.parametrize("limit", ["alter role limited nosuperuser connection limit 0"])
def test_no_connection_left_is_named_and_transient(
    cluster: Cluster, limited: Callable[[str], Warehouse], limit: str
) -> None:
    warehouse = limited("work_mem = '4MB'")
    cluster.sql(limit)
    with pytest.raises(RetriableError, match="the connection limit of this user is reached"):
        warehouse.query("select 1")


@pytest.mark.parametrize("whose", ["role few", "database {}"])
@pytest.mark.parametrize("limit", [2, 3, 5])
def test_gold_is_built_within_a_limit_of_connections(
    cluster: Cluster, databases: Callable[..., str], end_of: Callable[..., WarehousePipeline], whose: str, limit: int
) -> None:
    database = databases()
    cluster.sql(f"create role few login; grant create on database {database} to few")
    cluster.sql(f"alter {whose.format(database)} connection limit {limit}")
    try:
        end = end_of(cluster.dsn(database, "few"))
        end.load()
        end.model(D1, D3)
        assert_gold_matches_silver(end.warehouse, end.silver.rows)
    finally:
        cluster.sql(f"drop database {database} with (force)")
        cluster.sql("drop role few")


@pytest.mark.parametrize("whose", ["role one", "database {}"])
def test_a_limit_that_no_wait_raises_is_final_and_says_what_to_change(
    cluster: Cluster, databases: Callable[..., str], end_of: Callable[..., WarehousePipeline], whose: str
) -> None:
    database = databases()
    cluster.sql(f"create role one login; grant create on database {database} to one")
    end = end_of(cluster.dsn(database, "one"))
    end.load()
    cluster.sql(f"alter {whose.format(database)} connection limit 1")
    try:
        with pytest.raises(DeftunesError, match=r"connection limit of 1\. Raise it: `alter (user|database)") as refused:
            end.model(D1, D3)
        assert type(refused.value) is DeftunesError
    finally:
        cluster.sql(f"drop database {database} with (force)")
        cluster.sql("drop role one")


def test_the_lock_outlasts_what_ends_idle_sessions_and_slow_statements(
    cluster: Cluster, databases: Callable[..., str], end_of: Callable[..., WarehousePipeline]
) -> None:
    cluster.sql(
        "create role brief login superuser; alter role brief set idle_in_transaction_session_timeout = '300ms'; "
        "alter role brief set idle_session_timeout = '300ms'; alter role brief set transaction_timeout = '1500ms'"
    )
    warehouse = open_warehouse(cluster.dsn(databases(), "brief"), lock_timeout=0.2)
    with warehouse.hold(exclusive=True) as session:
        threading.Event().wait(2)
        assert "another `load` or `model`" in str(failure_of(warehouse, "select 1"))
        with session.transaction():
            session.run("select 1")


def test_a_wait_for_the_lock_is_not_a_slow_statement(cluster: Cluster, limited: Callable[[str], Warehouse]) -> None:
    warehouse = limited("statement_timeout = '100ms'")
    with warehouse.hold(exclusive=True):
        failure = failure_of(open_warehouse(warehouse._dsn, lock_timeout=0.5), "select 1")  # type: ignore[attr-defined]
    assert type(failure) is RetriableError
    assert "within 0.5 s" in str(failure)


def test_a_publication_of_everything_is_named(
    cluster: Cluster, databases: Callable[..., str], end_of: Callable[..., WarehousePipeline]
) -> None:
    """It wants a replica identity of each table from which something is deleted, and gold has no primary keys."""
    database = databases()
    end = end_of(cluster.dsn(database))
    end.load()
    end.model(D1, D3)
    cluster.sql("set client_min_messages = error; create publication everything for all tables", database)
    end.silver.upsert_songs([song_row(1, title="new")])
    end.load()
    with pytest.raises(DeftunesError, match=r"replica identity.*a publication of this database publishes deletes"):
        end.model(D1, D3)
    cluster.sql("drop publication everything", database)
    end.model(D1, D3)
    assert_gold_matches_silver(end.warehouse, end.silver.rows)


def test_dbt_says_whose_limit_it_was(
    cluster: Cluster, databases: Callable[..., str], end_of: Callable[..., WarehousePipeline]
) -> None:
    database = databases()
    cluster.sql("create role slow login superuser")
    end = end_of(cluster.dsn(database, "slow"))
    end.load()
    end.model(D1, D3)
    cluster.sql(
        "create function wait() returns trigger language plpgsql as 'begin perform pg_sleep(1); return new; end'; "
        "create trigger wait before insert on deftunes_serving.dim_songs for each row execute function wait(); "
        "alter role slow set statement_timeout = '700ms'",
        database,
    )
    end.silver.upsert_songs([song_row(1, title="new")])
    end.load()
    with pytest.raises(DeftunesError, match="statement_timeout of this user ended it") as refused:
        end.model(D1, D3)
    assert type(refused.value) is DeftunesError
    cluster.sql("alter role slow reset statement_timeout")
    end.model(D1, D3)


@pytest.mark.parametrize(
    ("extra", "user", "kind"),
    [
        ("?sslmode=require", "postgres", DeftunesError),
        ("?sslmode=on", "postgres", DeftunesError),
        ("?target_session_attrs=standby", "postgres", RetriableError),
        ("", "nobody_we_know", DeftunesError),
    ],
)
def test_what_will_never_work_is_not_to_be_tried_again(
    cluster: Cluster, extra: str, user: str, kind: type[DeftunesError]
) -> None:
    with pytest.raises(DeftunesError) as refused:
        open_warehouse(cluster.dsn(user=user, extra=extra)).query("select 1")
    assert type(refused.value) is kind


def test_a_password_in_an_address_that_libpq_misreads_is_not_shown() -> None:
    with pytest.raises(DeftunesError) as refused:
        open_warehouse("postgresql://user:open@sesame@127.0.0.1:1/x").query("select 1")
    assert "sesame" not in str(refused.value)
