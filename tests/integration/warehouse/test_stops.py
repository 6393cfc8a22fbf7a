"""A warehouse that stops while `load` or `model` writes: worth another try, and the next run ends right."""

import signal
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial

import pytest

from deftunes.core.errors import RetriableError
from support.cluster import Cluster
from support.gold import assert_gold_matches_silver
from support.silver import T0, song_row
from support.warehouse import WarehousePipeline

D1, D3 = T0.date(), T0.date() + timedelta(days=2)
_SLOW = """
create or replace function wait() returns trigger language plpgsql as 'begin perform pg_sleep(60); return new; end';
create trigger wait before insert on {table} for each row execute function wait();
"""
_ASLEEP = "select count(*) from pg_stat_activity where wait_event = 'PgSleep'"


def _terminate(cluster: Cluster) -> None:
    cluster.sql("select pg_terminate_backend(pid) from pg_stat_activity where wait_event = 'PgSleep'")


def _terminate_all(cluster: Cluster) -> None:
    cluster.sql(
        "select pg_terminate_backend(pid) from pg_stat_activity "
        "where backend_type = 'client backend' and pid <> pg_backend_pid()"
    )


STOPS: dict[str, Callable[[Cluster], None]] = {
    "fast": lambda cluster: cluster.stop(signal.SIGINT),
    "crash": lambda cluster: cluster.stop(signal.SIGQUIT),
    "terminated": _terminate,
    "all terminated": _terminate_all,
}


def stopped_while_asleep(cluster: Cluster, stop: Callable[[Cluster], None]) -> threading.Thread:
    def wait_and_stop() -> None:
        while cluster.sql(_ASLEEP) == "0":
            time.sleep(0.1)
        stop(cluster)

    thread = threading.Thread(target=wait_and_stop)
    thread.start()
    return thread


@pytest.mark.parametrize("how", STOPS)
@pytest.mark.parametrize("table", ["deftunes_transform.songs", "deftunes_serving.dim_songs"])
def test_the_next_run_ends_right(
    cluster: Cluster, databases: Callable[..., str], end_of: Callable[..., WarehousePipeline], how: str, table: str
) -> None:
    database = databases()
    end = end_of(cluster.dsn(database))
    end.load()
    end.model(D1, D3)
    end.silver.upsert_songs([song_row(1, title="new"), song_row(5)])
    stage: Callable[[], object] = end.load
    if "serving" in table:
        end.load()
        stage = partial(end.model, D1, D3)
    cluster.sql(_SLOW.format(table=table), database)
    stopping = stopped_while_asleep(cluster, STOPS[how])
    with pytest.raises(RetriableError) as lost:
        stage()
    stopping.join()
    assert "DETAIL" not in str(lost.value)
    if not cluster.is_running:
        with pytest.raises(RetriableError, match="expected the warehouse to answer"):
            stage()
        cluster.start()
    cluster.sql(f"drop trigger wait on {table}", database)
    end.load()
    end.model(D1, D3)
    assert_gold_matches_silver(end.warehouse, end.silver.rows)
    assert end.warehouse.query("select count(*) from deftunes_control.changed").rows == [(0,)]


def test_a_lock_lost_in_mid_model_keeps_the_queue(
    cluster: Cluster, databases: Callable[..., str], end_of: Callable[..., WarehousePipeline]
) -> None:
    """Nothing is said to be modelled that a `load` may have brought while nobody held the lock."""
    end = end_of(cluster.dsn(databases()))
    end.load()
    with end.warehouse.hold(exclusive=True) as session:
        _terminate_all(cluster)
        with pytest.raises(RetriableError, match="the warehouse broke off the warehouse lock"), session.transaction():
            session.run("delete from deftunes_control.changed")
    assert end.warehouse.query("select count(*) from deftunes_control.changed").rows != [(0,)]
    end.model(D1, D3)
    assert_gold_matches_silver(end.warehouse, end.silver.rows)
