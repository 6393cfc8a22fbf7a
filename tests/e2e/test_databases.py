"""compose/databases.py on the PostgreSQL of compose.yaml: from whatever was left, and nobody in a database not his."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing

import psycopg2
import pytest
from psycopg2 import errors
from testcontainers.core.container import DockerContainer
from testcontainers.core.wait_strategies import ExecWaitStrategy

from support.containers import ROOT, on_loopback

ROLES = ("shop", "reader", "warehouse", "bi", "airflow", "superset")
DATABASES = ("shop", "warehouse", "airflow", "superset")
HOME = {"reader": "shop", "bi": "warehouse"}
PASSWORDS = {f"{role.upper()}_PASSWORD": f"{role}'s secret" for role in ROLES}


class Server:
    """PostgreSQL as compose starts it."""

    def __init__(self, port: int) -> None:
        self.port = port

    def set_up(self, **passwords: str) -> None:
        """Run the script as the service `databases` does."""
        address = {"PGHOST": "127.0.0.1", "PGPORT": str(self.port), "PGUSER": "postgres", "PGPASSWORD": "postgres"}
        script = ROOT / "compose" / "databases.py"
        subprocess.run([sys.executable, script], env={**os.environ, **address, **PASSWORDS, **passwords}, check=True)

    def ask(self, role: str, database: str, statement: str, password: str | None = None) -> list[tuple[object, ...]]:
        """One statement of a role."""
        address = {"host": "127.0.0.1", "port": self.port, "user": role, "dbname": database}
        with closing(psycopg2.connect(**address, password=password or f"{role}'s secret")) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement)
                return cursor.fetchall() if cursor.description else []


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    container = DockerContainer("postgres:17-trixie").with_env("POSTGRES_PASSWORD", "postgres")
    ready = ExecWaitStrategy(["pg_isready", "--quiet", "--host=127.0.0.1", "--username=postgres"])
    with on_loopback(container, 5432).waiting_for(ready) as started:
        server = Server(started.get_exposed_port(5432))
        # What a run leaves that was killed halfway.
        server.ask("postgres", "postgres", "create role shop login password 'of the first try'", "postgres")
        server.ask("postgres", "postgres", "create database shop owner shop", "postgres")
        server.set_up()
        server.ask("shop", "shop", "create table deftunes.songs as select 'TR1' as track_id")
        yield server


@pytest.mark.parametrize("database", DATABASES)
def test_what_was_left_halfway_is_finished(server: Server, database: str) -> None:
    assert server.ask(database, database, "select current_user::text") == [(database,)]
    server.ask(database, database, "create schema is_mine")


def test_the_reader_reads_the_catalogue_and_nothing_else(server: Server) -> None:
    assert server.ask("reader", "shop", "select track_id from deftunes.songs") == [("TR1",)]
    for statement in ("delete from deftunes.songs", "create table deftunes.mine ()", "create schema mine"):
        with pytest.raises(errors.InsufficientPrivilege):
            server.ask("reader", "shop", statement)


def test_bi_reads_the_views_and_nothing_else(server: Server) -> None:
    """Views of before and after, materialized or not, and one that takes another's place."""
    for statement in (
        "create schema deftunes_serving",
        "create table deftunes_serving.facts as select 1 as price",
        "create materialized view deftunes_bi_views.sales as select price from deftunes_serving.facts",
        "create view deftunes_bi_views.next as select price from deftunes_serving.facts",
        "alter view deftunes_bi_views.next rename to runs",
    ):
        server.ask("warehouse", "warehouse", statement)
    server.set_up()

    for view in ("sales", "runs"):
        assert server.ask("bi", "warehouse", f"select price from deftunes_bi_views.{view}") == [(1,)]
    for statement in ("select * from deftunes_serving.facts", "select * from pg_authid"):
        with pytest.raises(errors.InsufficientPrivilege):
            server.ask("bi", "warehouse", statement)
    for statement in (
        "create schema mine",
        "create temporary table mine ()",
        "create table deftunes_bi_views.mine ()",
        "refresh materialized view deftunes_bi_views.sales",
        "delete from deftunes_bi_views.runs",
    ):
        with pytest.raises((errors.InsufficientPrivilege, errors.ReadOnlySqlTransaction)):
            server.ask("bi", "warehouse", statement)
        # That its transactions are read-only is a default, which it may change; its rights it may not.
        with pytest.raises(errors.InsufficientPrivilege):
            server.ask("bi", "warehouse", f"set transaction_read_only = off; {statement}")
    assert server.ask("bi", "warehouse", "show statement_timeout") == [("30s",)]


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("database", DATABASES)
def test_a_role_enters_its_own_database_only(server: Server, role: str, database: str) -> None:
    if database == HOME.get(role, role):
        assert server.ask(role, database, "select 1") == [(1,)]
        return
    with pytest.raises(psycopg2.OperationalError, match="permission denied for database"):
        server.ask(role, database, "select 1")


def test_again_it_changes_passwords_and_nothing_else(server: Server) -> None:
    server.set_up(READER_PASSWORD="of today")
    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        server.ask("reader", "shop", "select 1")
    assert server.ask("reader", "shop", "select track_id from deftunes.songs", "of today") == [("TR1",)]
    server.set_up()
    assert server.ask("reader", "shop", "select track_id from deftunes.songs") == [("TR1",)]
