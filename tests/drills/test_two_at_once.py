"""Two runs at once: both end well, or one is asked to try again; gold is right, and nothing is left lying about."""

import json
import random
import subprocess
import sys
from collections.abc import Iterator
from itertools import takewhile
from typing import TYPE_CHECKING

import pytest

from deftunes.core.entities import Entity
from deftunes.core.errors import DeftunesError, RetriableError
from deftunes.core.stages import PipelineName, Stage
from deftunes.pipeline import Outcome, run_pipeline
from support.pipeline import Days, Pipeline, assert_gold_equals_sales, interval, new_pipeline
from support.simulator import Simulator, running_simulator

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from support.stack import Stack


ALL_DAYS = (0, 3)
# What each of the two runs on.
PAIRS = [("embedded", "embedded"), ("spark", "spark"), ("embedded", "spark"), ("spark", "embedded")]


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    with running_simulator(users=20, sessions_per_day=12, clock="2020-01-20T00:00:00Z") as simulator:
        simulator.bad(["item_price_above", "session_start_time_words"], days=list(interval(ALL_DAYS).days()))
        yield simulator


def assert_ended_well(pipeline: Pipeline, simulator: Simulator) -> None:
    assert_gold_equals_sales(pipeline, simulator, ALL_DAYS)
    assert pipeline.branches() == []
    bad = simulator.truth(interval(ALL_DAYS).start, interval(ALL_DAYS).end)["bad"]
    assert len(pipeline.quarantine()) == sum(record["rejected"] for record in bad)


@pytest.mark.parametrize("engines", PAIRS, ids=" and ".join)
@pytest.mark.parametrize(
    ("first", "second"), [((0, 3), (0, 3)), ((0, 2), (1, 3))], ids=["the same interval", "overlapping intervals"]
)
def test_stage_by_stage_in_turns(
    stack: "Stack", spark: "SparkSession", simulator: Simulator, first: Days, second: Days, engines: tuple[str, str]
) -> None:
    """The turns are drawn, so that each place where one can overtake the other is met sooner or later."""
    pipeline = new_pipeline(stack, simulator.url, songs=30, spark=spark, look_back=0, max_rejected=1.0)
    chance = random.Random(f"{first} {second} {engines}")
    on_one, on_other = (pipeline.with_settings(engine=engine) for engine in engines)
    with on_one.resources() as one, on_other.resources() as other:
        runs = [
            takewhile(_is_before_load, run_pipeline(one, PipelineName.API, interval(first))),
            takewhile(_is_before_load, run_pipeline(other, PipelineName.API, interval(second))),
        ]
        asked_to_try_again = []
        while runs:
            run = chance.choice(runs)
            try:
                outcome: Outcome | None = next(run, None)
            except RetriableError as error:
                asked_to_try_again.append(error)
                outcome = None
            if outcome is None:
                runs.remove(run)
    assert len(asked_to_try_again) < 2
    last = pipeline.run(ALL_DAYS, PipelineName.API)
    assert asked_to_try_again or Stage.TRANSFORM not in {outcome.stage for outcome in last}
    assert_ended_well(pipeline, simulator)


def _is_before_load(outcome: Outcome) -> bool:
    return outcome.stage is not Stage.LOAD


@pytest.mark.parametrize("engines", PAIRS, ids=" and ".join)
def test_the_tasks_of_one_run_with_other_runs_in_between(
    stack: "Stack", spark: "SparkSession", simulator: Simulator, engines: tuple[str, str]
) -> None:
    """As two runs of one DAG do: a task by itself finds its batch overtaken, and takes it along."""
    pipeline = new_pipeline(stack, simulator.url, songs=30, spark=spark, look_back=0, max_rejected=1.0)
    on_one, on_other = (pipeline.with_settings(engine=engine) for engine in engines)

    def task(stage: Stage) -> list[Stage]:
        return [outcome.stage for outcome in on_one.stage(stage, Entity.SESSIONS, (1, 2))]

    def another_run(days: Days) -> None:
        for stage in (Stage.EXTRACT, Stage.TRANSFORM, Stage.QUALITY, Stage.PUBLISH):
            on_other.stage(stage, Entity.SESSIONS, days)

    another_run((0, 1))
    task(Stage.EXTRACT)
    with pytest.raises(DeftunesError, match="run: deftunes transform") as failed:
        task(Stage.QUALITY)
    assert failed.value.exit_code == 1
    assert task(Stage.TRANSFORM) == [Stage.TRANSFORM]
    with pytest.raises(DeftunesError, match="expected a passed audit") as failed:
        task(Stage.PUBLISH)
    assert failed.value.exit_code == 1
    another_run((2, 3))
    assert task(Stage.QUALITY) == [Stage.TRANSFORM, Stage.QUALITY]
    another_run((3, 4))
    assert task(Stage.PUBLISH) == [Stage.TRANSFORM, Stage.QUALITY, Stage.PUBLISH]
    assert pipeline.branches() == []
    days = {row["session_start_time"].date() for row in pipeline.silver(Entity.SESSIONS)}
    assert days == set(interval((0, 4)).days())


@pytest.mark.parametrize("engines", PAIRS, ids=" and ".join)
def test_two_processes(stack: "Stack", spark: "SparkSession", simulator: Simulator, engines: tuple[str, str]) -> None:
    pipeline = new_pipeline(stack, simulator.url, songs=30, spark=spark, look_back=0, max_rejected=1.0)
    in_this_process, in_another = (pipeline.with_settings(engine=engine) for engine in engines)
    start, end = map(str, (interval((0, 2)).start, interval((0, 2)).end))
    command = [sys.executable, "-m", "deftunes", "run", "all", "--json", "--start", start, "--end", end]
    with subprocess.Popen(
        command,
        env=stack.environment(**in_another.variables()),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout
        for line in other.stdout:
            if json.loads(line)["entity"] == "sessions":
                break  # all is landed, and its engine starts
        codes = []
        try:
            in_this_process.run((1, 3))
        except RetriableError:
            codes.append(75)
        stderr = other.communicate()[1]
    assert other.returncode in {0, 75}, stderr
    if codes or other.returncode:
        pipeline.run(ALL_DAYS)
    assert_ended_well(pipeline, simulator)
