"""Containers killed, services restarted, days done again: Airflow tries again, and gold is the shop's truth."""

import time
from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal

import pytest
from docker.errors import APIError
from docker.models.containers import Container

from deftunes.core import layout
from support.containers import API, DAY, OPENING, PROJECT, SONGS, Airflow, Json, Platform
from support.gold import SERVING

SECONDS_TO_BEGIN = 300


class Shop:
    """The days that were run so far; each drill adds one."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        self.days = platform.days

    def next_day(self, airflow: Airflow) -> str:
        """Start a run of the API's DAG for the day after the last."""
        self.days += 1
        return airflow.trigger(API, OPENING + DAY * (self.days - 1), OPENING + DAY * self.days)

    def assert_true(self) -> None:
        """Gold is what the shop has sold, and no session or version is there twice."""
        sold = self.platform.query(
            f"select currency, sum(price) as sold from {layout.SERVING_SCHEMA}.fact_session group by 1"
        )
        truth = self.platform.truth(self.days)
        assert {row["currency"]: f"{Decimal(str(row['sold'])):.2f}" for row in sold} == truth["revenue"]
        (counts,) = self.platform.query(
            "select count(*) as rows, count(distinct (session_id, item_number)) as keys"
            f" from {layout.SERVING_SCHEMA}.fact_session"
        )
        assert counts["rows"] == counts["keys"]


@pytest.fixture(scope="module")
def shop(platform: Platform, airflow: Airflow) -> Shop:
    shop = Shop(platform)
    shop.assert_true()
    return shop


def gold(platform: Platform) -> list[Json]:
    """Every row of gold by its content."""
    tables = [f"{layout.SERVING_SCHEMA}.{name}" for name in SERVING]
    tables += [f"{layout.BI_SCHEMA}.{name}" for name in (*layout.SALES_VIEWS, "records_held_back_vw")]
    parts = [
        f"select '{name}' as name, count(*) as rows, md5(string_agg(line::text, '|' order by line::text)) as content"
        f" from {name} as line"
        for name in tables
    ]
    return platform.query(" union all ".join(parts) + " order by 1")


def do_again(airflow: Airflow, dag: str) -> None:
    """Clear the first day of a DAG and wait until it is done again."""
    (run, *_) = airflow.runs(dag)
    tries = airflow.tries(dag, run)
    airflow.clear(dag, run)
    airflow.wait_for(dag, run)
    assert airflow.tries(dag, run) == {task: count + 1 for task, count in tries.items()}


def begun(platform: Platform, wanted: Callable[[Container], bool]) -> Container:
    """A container of a stage that the local AWS has started."""
    deadline = time.monotonic() + SECONDS_TO_BEGIN
    while time.monotonic() < deadline:
        for container in platform.stages():
            if wanted(container):
                return container
        time.sleep(0.2)
    raise AssertionError(f"no such stage began within {SECONDS_TO_BEGIN} s\n{platform.logs()}")


def runs_stage(stage: str) -> Callable[[Container], bool]:
    def wanted(container: Container) -> bool:
        family = container.labels.get("com.amazonaws.ecs.task-definition-family", container.labels.get("job_name", ""))
        return str(family).startswith(f"deftunes-{stage}")

    return wanted


def test_days_done_again_change_nothing(platform: Platform, airflow: Airflow, shop: Shop) -> None:
    # Users may have been read before sessions moved the shop's clock: this brings what it has learned since.
    do_again(airflow, API)
    before = gold(platform)
    do_again(airflow, SONGS)
    do_again(airflow, API)
    assert gold(platform) == before


def test_a_stage_has_what_its_role_gives_it_and_nothing_of_this_machine(
    platform: Platform, airflow: Airflow, shop: Shop
) -> None:
    run = shop.next_day(airflow)
    for stage in ("extract-sessions", "quality-sessions"):
        container = begun(platform, runs_stage(stage))
        host = container.attrs["HostConfig"]
        assert container.attrs["Config"]["User"] == "10001:10001"
        assert (host["Privileged"], host["CapDrop"], host["CapAdd"]) == (False, ["ALL"], None)
        assert host["NetworkMode"] == PROJECT
        assert host["Binds"] is None
        assert {mount["Type"] for mount in container.attrs["Mounts"]} <= {"volume"}
        assert 0 < host["Memory"] <= 2176 << 20
        assert host["ReadonlyRootfs"] is stage.startswith("extract")
        assert "local@" not in str(container.labels)
    airflow.wait_for(API, run)
    shop.assert_true()


def kill(platform: Platform, stage: str) -> None:
    """Kill a stage's container; what ends by itself between being seen and being killed was another one."""
    while True:
        with suppress(APIError):
            begun(platform, runs_stage(stage)).kill()
            return


@pytest.mark.parametrize(
    "stage", ["extract-sessions", "transform-sessions", "publish-sessions", "load-sessions", "model"]
)
def test_a_killed_container_is_tried_again(platform: Platform, airflow: Airflow, shop: Shop, stage: str) -> None:
    run = shop.next_day(airflow)
    kill(platform, stage)

    airflow.wait_for(API, run)

    assert airflow.tries(API, run)[stage.replace("-", "_")] >= 2
    shop.assert_true()


@pytest.mark.parametrize("signal", ["SIGTERM", "SIGKILL"])
@pytest.mark.parametrize(
    ("service", "stage"),
    [
        ("minio", "transform-sessions"),
        ("postgres", "load-sessions"),
        ("aws-local", "transform-sessions"),  # a Glue job
        ("aws-local", "publish-sessions"),  # a task of ECS
    ],
)
def test_a_part_that_ends_in_mid_run_comes_back(
    platform: Platform, airflow: Airflow, shop: Shop, service: str, stage: str, signal: str
) -> None:
    run = shop.next_day(airflow)
    begun(platform, runs_stage(stage))
    part = platform.container(service)
    if signal == "SIGTERM":
        part.restart(timeout=20)
    else:
        part.kill()
        time.sleep(5)
        part.start()
    platform.up()

    airflow.wait_for(API, run)

    if (service, signal) == ("aws-local", "SIGKILL"):  # it has lost sight of what it had started
        assert airflow.tries(API, run)[stage.replace("-", "_")] >= 2
    shop.assert_true()


def test_everything_stopped_and_started_keeps_what_it_had(platform: Platform, airflow: Airflow, shop: Shop) -> None:
    before, runs = gold(platform), airflow.runs(API)
    platform.compose("down")
    platform.up()
    assert gold(platform) == before
    assert airflow.runs(API) == runs
    airflow.wait_for(API, shop.next_day(airflow))
    shop.assert_true()


def test_stopped_in_mid_run_it_leaves_no_container_and_goes_on(
    platform: Platform, airflow: Airflow, shop: Shop
) -> None:
    run = shop.next_day(airflow)
    begun(platform, runs_stage("transform-sessions"))
    platform.compose("down")
    assert platform.stages() == []
    assert platform.engine.networks.list(names=[PROJECT]) == []
    platform.up()
    airflow.wait_for(API, run)
    shop.assert_true()
