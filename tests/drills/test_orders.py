"""In whatever way the days come in, and however often: the same gold, row for row, and the source's sum to the cent."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from deftunes.core.stages import Stage
from support.engines import ENGINES
from support.gold import Gold
from support.pipeline import Pipeline, assert_gold_equal, assert_gold_equals_sales, new_pipeline
from support.simulator import Simulator, running_simulator

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from support.stack import Stack

# Three months of two days. By the clock everything is settled: the source holds the same all the time.
FIRST, MIDDLE, LAST, QUARTER = (0, 2), (2, 4), (4, 6), (0, 6)
CLOCK = "2020-01-20T00:00:00Z"


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    with running_simulator(users=30, sessions_per_day=20, clock=CLOCK) as simulator:
        yield simulator


@pytest.fixture(scope="module")
def in_one_go(stack: "Stack", simulator: Simulator) -> Gold:
    """The quarter by one command, as the machine on the other side of the world runs it."""
    pipeline = new_pipeline(stack, simulator.url)
    ended = pipeline.command("run", "all", days=QUARTER, TZ="Pacific/Auckland")
    assert ended.returncode == 0, ended.stderr
    assert_gold_equals_sales(pipeline, simulator, QUARTER)
    return pipeline.gold()


@pytest.mark.parametrize("engine", ENGINES)
def test_months_in_another_order_and_one_of_them_three_times(
    stack: "Stack", spark: "SparkSession", simulator: Simulator, in_one_go: Gold, engine: str
) -> None:
    pipeline = new_pipeline(stack, simulator.url, spark=spark, engine=engine)
    for days in (MIDDLE, FIRST, FIRST, FIRST, LAST):
        pipeline.run(days)
    assert_gold_equal(in_one_go, pipeline.gold())
    assert_gold_equals_sales(pipeline, simulator, QUARTER)
    _assert_nothing_new(pipeline)


@pytest.mark.parametrize("engine", ENGINES)
def test_day_by_day_from_answers_in_other_orders(
    stack: "Stack", spark: "SparkSession", simulator: Simulator, in_one_go: Gold, engine: str
) -> None:
    pipeline = new_pipeline(stack, simulator.url, spark=spark, engine=engine, look_back=1)
    try:
        for day in range(*QUARTER):
            simulator.behaviour(shuffle=day + 1, page_size=13 if day % 2 else None, end_date="exclusive")
            pipeline.run((day, day + 1))
        assert_gold_equal(in_one_go, pipeline.gold())
        assert_gold_equals_sales(pipeline, simulator, QUARTER)
    finally:
        simulator.behaviour()


def _assert_nothing_new(pipeline: Pipeline) -> None:
    before = pipeline.silver_snapshots(), pipeline.objects(), pipeline.written_rows()
    again = pipeline.run(QUARTER)
    assert not [outcome for outcome in again if outcome.stage in {Stage.TRANSFORM, Stage.QUALITY}]
    assert (pipeline.silver_snapshots(), pipeline.objects(), pipeline.written_rows()) == before
