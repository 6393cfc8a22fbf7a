"""Behind PgBouncer: the lock holds in every mode that has transactions, and text and gold are the same."""

import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import psycopg2
import pytest

from deftunes.adapters.warehouse_drivers import open_warehouse
from deftunes.core.errors import DeftunesError, RetriableError
from support.cluster import Cluster, free_port, open_to_nobody, unprivileged
from support.gold import assert_gold_matches_silver
from support.silver import T0, song_row
from support.warehouse import WarehousePipeline

D1, D3 = T0.date(), T0.date() + timedelta(days=2)
PGBOUNCER = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
Pooler = Callable[..., str]

needs_pgbouncer = pytest.mark.skipif(PGBOUNCER is None, reason="no pgbouncer on this machine")


@pytest.fixture
def pooler(cluster: Cluster) -> Iterator[Pooler]:
    """Starts a pooler in a mode; returns the DSN of a database behind it."""
    folder = Path(tempfile.mkdtemp(prefix="deftunes-pooler-"))
    processes = []

    def start(database: str, mode: str, size: int = 8) -> str:
        assert PGBOUNCER
        port = free_port()
        (folder / "users.txt").write_text('"postgres" ""\n')
        (folder / "pooler.ini").write_text(
            f"[databases]\n* = host=127.0.0.1 port={cluster.port} user=postgres\n[pgbouncer]\n"
            f"listen_addr=127.0.0.1\nlisten_port={port}\nauth_type=any\nauth_file={folder}/users.txt\n"
            f"pool_mode={mode}\nquery_wait_timeout=3\ndefault_pool_size={size}\nunix_socket_dir=\n"
            f"logfile={folder}/log\npidfile={folder}/pid\n"
        )
        open_to_nobody(folder)
        command = [*unprivileged(), PGBOUNCER, "-q", str(folder / "pooler.ini")]
        output = subprocess.DEVNULL
        processes.append(subprocess.Popen(command, stdout=output, stderr=output, cwd="/"))
        dsn = f"postgresql://postgres@127.0.0.1:{port}/{database}"
        for _ in range(100):
            try:
                psycopg2.connect(dsn).close()
                break
            except psycopg2.OperationalError:
                time.sleep(0.1)
        return dsn

    yield start
    for process in processes:
        process.terminate()
        process.wait(10)
    shutil.rmtree(folder)


@needs_pgbouncer
@pytest.mark.parametrize("mode", ["session", "transaction"])
def test_gold_is_the_same_and_the_lock_holds(
    databases: Callable[..., str], end_of: Callable[..., WarehousePipeline], pooler: Pooler, mode: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("PGCLIENTENCODING", "LATIN1")
    dsn = pooler(databases(), mode)
    end = end_of(dsn)
    end.silver.upsert_songs([song_row(1, title="Ça va \u2013 中")])
    end.load()
    end.model(D1, D3)
    assert_gold_matches_silver(end.warehouse, end.silver.rows)
    other = open_warehouse(dsn, lock_timeout=0.2)
    with end.warehouse.hold(exclusive=True):
        for exclusive in (True, False):
            with (
                pytest.raises(RetriableError, match=r"within 0\.2 s"),
                other.hold(exclusive=exclusive) as session,
                session.transaction(),
            ):
                pass
    with other.hold(exclusive=True):  # let go of with its connection
        pass


@needs_pgbouncer
def test_a_pooler_with_one_connection_is_named_and_final(
    databases: Callable[..., str], end_of: Callable[..., WarehousePipeline], pooler: Pooler
) -> None:
    end = end_of(pooler(databases(), "transaction", 1))
    end.load()
    with pytest.raises(DeftunesError, match=r"Is a pooler between\? It needs a pool_size of 2 at least") as refused:
        end.model(D1, D3)
    assert type(refused.value) is DeftunesError


@needs_pgbouncer
def test_gold_is_built_with_two_connections_of_a_pooler(
    databases: Callable[..., str], end_of: Callable[..., WarehousePipeline], pooler: Pooler
) -> None:
    end = end_of(pooler(databases(), "transaction", 2))
    end.load()
    end.model(D1, D3)
    assert_gold_matches_silver(end.warehouse, end.silver.rows)


def test_nothing_of_the_lock_belongs_to_a_session(cluster: Cluster, databases: Callable[..., str]) -> None:
    """What a pooler in transaction mode relies on: when the transaction ends, the server's session is as before."""
    database = databases()
    dsn = cluster.dsn(database)
    held = "select count(*) from pg_locks join pg_database d on d.oid = database "
    held += f"where locktype = 'advisory' and datname = '{database}'"
    warehouse = open_warehouse(dsn, lock_timeout=0.2)
    with warehouse.hold(exclusive=False) as session:
        with session.transaction():
            assert cluster.sql(held) == "1"
        assert cluster.sql(held) == "0"
    with closing(psycopg2.connect(dsn)) as connection:
        warehouse.lock(connection, "pg_advisory_xact_lock")  # type: ignore[attr-defined]
        assert cluster.sql(held) == "1"
        connection.rollback()
        assert cluster.sql(held) == "0"
        with connection.cursor() as cursor:
            cursor.execute("select name from pg_settings where source = 'session' and name like '%timeout'")
            assert cursor.fetchall() == []
