"""What the string says of the way to the server, dbt goes by, too."""

from collections.abc import Callable
from datetime import timedelta

import psycopg2
import pytest

from deftunes.adapters import warehouse_postgres
from deftunes.adapters.warehouse_drivers import open_warehouse
from deftunes.core.errors import DeftunesError
from support.cluster import Cluster, free_port
from support.gold import assert_gold_matches_silver
from support.silver import T0
from support.warehouse import WarehousePipeline

D1, D3 = T0.date(), T0.date() + timedelta(days=2)


@pytest.mark.parametrize(
    "way",
    [
        "host=nowhere.invalid hostaddr=127.0.0.1 port={port}",
        "hostaddr=127.0.0.1 port={port}",
        "host=nowhere.invalid,nobody.invalid hostaddr=127.0.0.1,127.0.0.1 port={closed},{port}",
        "host=nowhere.invalid,nobody.invalid hostaddr=127.0.0.1,127.0.0.2 port={port}",
        "host={folder} port={port}",
        "host=localhost port={port} connect_timeout=3 krbsrvname=deftunes sslnegotiation=postgres",
    ],
)
def test_dbt_reaches_the_server_that_the_string_names(
    cluster: Cluster, databases: Callable[..., str], end_of: Callable[..., WarehousePipeline], way: str
) -> None:
    where = way.format(port=cluster.port, closed=free_port(), folder=cluster.folder)
    end = end_of(f"{where} user=postgres dbname={databases()}")
    end.load()
    end.model(D1, D3)
    assert_gold_matches_silver(end.warehouse, end.silver.rows)


def test_what_the_string_demands_of_the_server_dbt_demands(
    cluster: Cluster, databases: Callable[..., str], end_of: Callable[..., WarehousePipeline]
) -> None:
    said = f"host={cluster.folder} port={cluster.port} user=postgres dbname={databases()} requirepeer=somebody"
    with pytest.raises(DeftunesError, match="requirepeer"):
        open_warehouse(said).query("select 1")
    peer = cluster.ask("select pg_backend_pid()") and "nobody"
    environment = open_warehouse(said.replace("somebody", peer)).dbt_environment()
    assert environment["PGREQUIREPEER"] == peer


def test_every_option_of_libpq_that_has_a_variable_is_handed_on(cluster: Cluster) -> None:
    """But for those that the profile has, or that mean something to a client that asks again."""
    with psycopg2.connect(cluster.dsn()) as connection:
        known = set(connection.info.dsn_parameters)
    profile = {"host", "hostaddr", "port", "dbname", "user", "password", "passfile", "client_encoding"}
    ours = {"application_name", "fallback_application_name", "service", "servicefile", "replication"}
    kept = {name for name in known if name.startswith(("keepalives", "tcp_"))}
    without_variable = {"sslpassword", "ssl_min_protocol_version", "ssl_max_protocol_version"} - set(
        warehouse_postgres._LIBPQ_VARIABLES
    )
    assert known - profile - ours - kept - without_variable <= set(warehouse_postgres._LIBPQ_VARIABLES)
