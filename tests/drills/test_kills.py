"""kill -9 at every named place and of every embedded server, then the same command again: the same gold at the end."""

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from deftunes import embedded
from deftunes.core import layout
from deftunes.core.entities import Entity
from deftunes.core.errors import DeftunesError
from deftunes.core.failpoints import Failpoint
from deftunes.core.services import Service
from deftunes.core.stages import PipelineName, Stage
from deftunes.pipeline import run_pipeline
from support.engines import ENGINES
from support.gold import Gold
from support.pipeline import Pipeline, Snapshot, assert_gold_equal, interval, new_pipeline
from support.simulator import running_simulator

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from support.stack import Stack

BEFORE, DAYS = (0, 2), (2, 3)
ALL = tuple(Entity)
# Of stages that may start a JVM one entity dies in a place each: that start is too dear for all of them.
DEATHS: dict[Failpoint, tuple[Stage, tuple[Entity | None, ...]]] = {
    Failpoint.LANDING_BEFORE_RECEIPT: (Stage.EXTRACT, ALL),
    Failpoint.LANDING_AFTER_RECEIPT: (Stage.EXTRACT, ALL),
    Failpoint.TRANSFORM_AFTER_QUARANTINE: (Stage.TRANSFORM, (Entity.SESSIONS,)),
    Failpoint.TRANSFORM_AFTER_BRANCH: (Stage.TRANSFORM, (Entity.SONGS,)),
    Failpoint.TRANSFORM_AFTER_WRITE: (Stage.TRANSFORM, (Entity.USERS,)),
    Failpoint.QUALITY_BEFORE_RESULTS: (Stage.QUALITY, (Entity.SESSIONS,)),
    Failpoint.QUALITY_AFTER_RESULTS: (Stage.QUALITY, (Entity.USERS,)),
    Failpoint.PUBLISH_BEFORE_MAIN: (Stage.PUBLISH, ALL),
    Failpoint.PUBLISH_AFTER_MAIN: (Stage.PUBLISH, ALL),
    Failpoint.PUBLISH_AFTER_RELEASE: (Stage.PUBLISH, ALL),
    Failpoint.LOAD_BEFORE_COMMIT: (Stage.LOAD, ALL),
    Failpoint.LOAD_AFTER_COMMIT: (Stage.LOAD, ALL),
    Failpoint.LOAD_BEFORE_TRUST: (Stage.LOAD, ALL),
    Failpoint.LOAD_AFTER_TRUST: (Stage.LOAD, ALL),
    Failpoint.MODEL_BEFORE_BUILD: (Stage.MODEL, (None,)),
    Failpoint.MODEL_AFTER_BUILD: (Stage.MODEL, (None,)),
}


# What dies, and what the work is ended by.
PAIRS = [("embedded", "embedded"), ("spark", "spark"), ("embedded", "spark"), ("spark", "embedded")]

# A server dies when this stage has ended, and the run with it; the next run goes on until the next death.
SERVERS: tuple[tuple[Service, Stage, Entity], ...] = (
    (Service.AWS, Stage.EXTRACT, Entity.SESSIONS),
    (Service.AWS, Stage.TRANSFORM, Entity.SONGS),
    (Service.AWS, Stage.PUBLISH, Entity.USERS),
    (Service.POSTGRES, Stage.LOAD, Entity.USERS),
)


@dataclass(frozen=True)
class FinalState:
    """What a run leaves."""

    gold: Gold
    silver: dict[str, list[dict[str, Any]]]
    branches: list[str]


@dataclass(frozen=True)
class Scenario:
    """A source that changed in every way since the last run; how that run ends when nobody dies.

    `pipeline` ends what `dying` begins.
    """

    pipeline: Pipeline
    dying: Pipeline
    before: Snapshot
    final: FinalState

    @property
    def failpoints(self) -> list[Failpoint]:
        """Those that are passed: the embedded engine's branch is there with its rows, but for a table's first."""
        at_once = self.dying.settings.engine == "embedded"
        return [each for each in DEATHS if not (at_once and each is Failpoint.TRANSFORM_AFTER_BRANCH)]


def final_state(pipeline: Pipeline) -> FinalState:
    silver = {name: _timeless(pipeline.silver(name)) for name in (*ALL, layout.QUARANTINE)}
    return FinalState(pipeline.gold(), silver, pipeline.branches())


def _timeless(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """PostgreSQL has no logical clock: songs extracted later say so, and nothing else of them differs."""
    for row in rows:
        if row.get("entity") == Entity.SONGS or "is_deleted" in row:
            del row["ingested_at"]
            row.pop("source", None)
    return rows


@pytest.fixture(scope="module", params=PAIRS, ids=" and then ".join)
def scenario(stack: "Stack", spark: "SparkSession", request: pytest.FixtureRequest) -> Iterator[Scenario]:
    dying, ending = request.param
    with running_simulator(users=30, sessions_per_day=12, clock="2020-01-03T00:00:00Z") as simulator:
        # Half of what comes is bad on purpose.
        pipeline = new_pipeline(stack, simulator.url, spark=spark, look_back=1, max_rejected=1.0, engine=ending)
        pipeline.run(BEFORE)
        pipeline.catalogue.run("mutate", "--seed", 7, "--updates", 6, "--inserts", 3, "--deletes", 2)
        pipeline.catalogue.run("spoil", "--kinds", "track_id_duplicate,song_id_null")
        simulator.clock("2020-08-01T00:00:00Z")
        simulator.bad(
            ["item_price_above", "session_id_duplicate", "session_start_time_words", "user_name_null"], every=1
        )
        before = pipeline.snapshot()
        pipeline.run(DAYS)
        final = final_state(pipeline)
        assert final.branches == []
        assert {row["entity"] for row in final.silver[layout.QUARANTINE]} == set(ALL)
        yield Scenario(pipeline, pipeline.with_settings(engine=dying), before, final)


@pytest.fixture(scope="module")
def exit_codes(scenario: Scenario) -> dict[Failpoint, list[int]]:
    """Each stage dies at each of its failpoints, and the same command comes again each time. How they ended."""
    scenario.pipeline.restore(scenario.before)
    codes: dict[Failpoint, list[int]] = {}
    for stage in Stage:
        for failpoint in scenario.failpoints:
            stage_of_it, entities = DEATHS[failpoint]
            if stage_of_it is stage:
                codes[failpoint] = [
                    scenario.dying.command(
                        stage, *([entity] if entity else []), days=DAYS, DEFTUNES_FAILPOINT=failpoint
                    ).returncode
                    for entity in entities
                ]
        for entity in (None,) if stage is Stage.MODEL else ALL:
            scenario.pipeline.stage(stage, entity, DAYS)
    return codes


def test_every_failpoint_is_reached(scenario: Scenario, exit_codes: dict[Failpoint, list[int]]) -> None:
    assert set(DEATHS) == set(Failpoint)
    assert exit_codes.keys() == set(scenario.failpoints)
    assert {code for codes in exit_codes.values() for code in codes} == {-signal.SIGKILL}


def test_after_a_kill_everywhere_the_end_is_the_same(
    scenario: Scenario, exit_codes: dict[Failpoint, list[int]]
) -> None:
    _assert_final_state(scenario)
    before = scenario.pipeline.silver_snapshots()
    scenario.pipeline.run(DAYS)
    assert scenario.pipeline.silver_snapshots() == before


def test_after_a_kill_of_each_server_the_end_is_the_same(scenario: Scenario) -> None:
    scenario.pipeline.restore(scenario.before)
    for part, stage, entity in SERVERS:
        with scenario.pipeline.resources() as resources, pytest.raises(DeftunesError) as failed:  # noqa: PT012 - a run is lazy
            for outcome in run_pipeline(resources, PipelineName.ALL, interval(DAYS)):
                if (outcome.stage, outcome.entity) == (stage, entity):
                    _kill(scenario.pipeline, part)
        assert failed.value.exit_code == 75, failed.value
        assert "un the command again" in str(failed.value)
        unset = scenario.pipeline.settings.model_copy(update={"lake": None, "songs_dsn": None, "warehouse_dsn": None})
        embedded.resolve(unset, {Service.AWS, Service.POSTGRES})
    scenario.pipeline.run(DAYS)
    _assert_final_state(scenario)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_tables_first_branch_takes_two_commits(stack: "Stack", spark: "SparkSession", engine: str) -> None:
    pipeline = new_pipeline(stack, None, spark=spark, engine=engine)
    pipeline.stage(Stage.EXTRACT, Entity.SONGS, BEFORE)
    died = pipeline.command(
        Stage.TRANSFORM, Entity.SONGS, days=BEFORE, DEFTUNES_FAILPOINT=Failpoint.TRANSFORM_AFTER_BRANCH
    )
    assert died.returncode == -signal.SIGKILL
    assert pipeline.silver(Entity.SONGS) == []
    pipeline.run(BEFORE, PipelineName.SONGS)
    assert len(pipeline.silver(Entity.SONGS)) == 60
    assert pipeline.branches() == []


def _kill(pipeline: Pipeline, part: Service) -> None:
    pids = {status.service: status.pid for status in embedded.service_statuses(pipeline.settings)}
    pid = pids[part]
    assert pid
    os.kill(pid, signal.SIGKILL)


def _assert_final_state(scenario: Scenario) -> None:
    final = final_state(scenario.pipeline)
    assert_gold_equal(scenario.final.gold, final.gold)
    assert final == scenario.final
