"""compose/databases.sh on the PostgreSQL of compose.yaml: from whatever was left, and nobody in a database not his."""

from collections.abc import Iterator

import pytest
from testcontainers.core.container import DockerContainer, ExecConfig
from testcontainers.core.wait_strategies import ExecWaitStrategy

from support.containers import ROOT

ROLES = ("shop", "reader", "warehouse", "airflow")
ADMINISTRATOR = "postgres-secret"
PASSWORDS = {f"{role.upper()}_PASSWORD": f"{role}-secret" for role in ROLES}


class Server:
    """PostgreSQL as compose starts it, with the script beside it."""

    def __init__(self, container: DockerContainer) -> None:
        self.container = container

    def set_up(self, **passwords: str) -> None:
        """Run the script as the service `databases` does."""
        administrator = {"PGHOST": "127.0.0.1", "PGUSER": "postgres", "PGPASSWORD": ADMINISTRATOR}
        environment = {**administrator, **PASSWORDS, **passwords}
        done = self.container.exec(ExecConfig(["bash", "/compose/databases.sh"], environment=environment))
        assert done.exit_code == 0, done.output.decode()

    def ask(self, role: str, database: str, statement: str, password: str | None = None) -> str:
        """What psql says; not by the loopback, where PostgreSQL's own image asks for no password."""
        environment = {"PGPASSWORD": password or f"{role}-secret", "PGUSER": role, "PGDATABASE": database}
        command = f'psql --host="$(hostname -i)" --no-psqlrc --tuples-only --no-align --command "{statement}"'
        return self.container.exec(ExecConfig(["bash", "-c", command], environment=environment)).output.decode().strip()

    def administer(self, statement: str) -> str:
        """The same as the administrator."""
        return self.ask("postgres", "postgres", statement)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    container = (
        DockerContainer("postgres:17-trixie")
        .with_env("POSTGRES_PASSWORD", ADMINISTRATOR)
        .with_volume_mapping(ROOT / "compose", "/compose")
        .waiting_for(ExecWaitStrategy(["pg_isready", "--quiet", "--host=127.0.0.1", "--username=postgres"]))
    )
    with container:
        server = Server(container)
        # What a script leaves that was killed halfway.
        server.administer("create role shop login password 'of the first try'")
        server.administer("create database shop owner shop")
        server.set_up()
        server.ask("shop", "shop", "create table deftunes.songs as select 'TR1' as track_id")
        yield server


@pytest.mark.parametrize("database", ["shop", "warehouse", "airflow"])
def test_what_was_left_halfway_is_finished(server: Server, database: str) -> None:
    assert server.ask(database, database, "select current_user") == database
    assert "permission denied" not in server.ask(database, database, "create schema is_mine; drop schema is_mine")


def test_the_reader_reads_the_catalogue_and_nothing_else(server: Server) -> None:
    assert server.ask("reader", "shop", "select track_id from deftunes.songs") == "TR1"
    for statement in ("delete from deftunes.songs", "create table deftunes.mine ()", "create schema mine"):
        assert "permission denied" in server.ask("reader", "shop", statement)


@pytest.mark.parametrize(
    ("role", "database"),
    [(role, database) for role in ROLES for database in ("shop", "warehouse", "airflow")
     if database not in {role, {"reader": "shop"}.get(role)}],
)  # fmt: skip
def test_nobody_enters_a_database_that_is_not_his(server: Server, role: str, database: str) -> None:
    assert "permission denied for database" in server.ask(role, database, "select 1")


def test_again_it_changes_passwords_and_nothing_else(server: Server) -> None:
    server.set_up(READER_PASSWORD="of today")
    assert "password authentication failed" in server.ask("reader", "shop", "select 1")
    assert server.ask("reader", "shop", "select track_id from deftunes.songs", password="of today") == "TR1"
    assert server.ask("warehouse", "warehouse", "select 1") == "1"
    server.set_up()
