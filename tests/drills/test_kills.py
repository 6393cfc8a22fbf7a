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
from support.gold import Gold
from support.pipeline import Kept, Rig, assert_same, interval, new_rig
from support.simulator import running_simulator

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from support.stack import Stack

BEFORE, DAYS = (0, 2), (2, 3)
ALL = tuple(Entity)
# Where a process without a JVM dies, each entity's does; a JVM's start is too dear for that.
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
    Failpoint.MODEL_BEFORE_BUILD: (Stage.MODEL, (None,)),
    Failpoint.MODEL_AFTER_BUILD: (Stage.MODEL, (None,)),
}


# A server dies when this stage has ended, and the run with it; the next run goes on until the next death.
SERVERS: tuple[tuple[Service, Stage, Entity], ...] = (
    (Service.AWS, Stage.EXTRACT, Entity.SESSIONS),
    (Service.AWS, Stage.TRANSFORM, Entity.SONGS),
    (Service.AWS, Stage.PUBLISH, Entity.USERS),
    (Service.POSTGRES, Stage.LOAD, Entity.USERS),
)


@dataclass(frozen=True)
class End:
    """What a run leaves."""

    gold: Gold
    silver: dict[str, list[dict[str, Any]]]
    branches: list[str]


@dataclass(frozen=True)
class Story:
    """A source that changed in every way since the last run; how that run ends when nobody dies."""

    rig: Rig
    before: Kept
    end: End


def end_of(rig: Rig) -> End:
    silver = {name: _timeless(rig.silver(name)) for name in (*ALL, layout.QUARANTINE)}
    return End(rig.gold(), silver, rig.branches())


def _timeless(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """PostgreSQL has no logical clock: songs extracted later say so, and nothing else of them differs."""
    for row in rows:
        if row.get("entity") == Entity.SONGS or "is_deleted" in row:
            del row["ingested_at"]
            row.pop("source", None)
    return rows


@pytest.fixture(scope="module")
def story(stack: "Stack", spark: "SparkSession") -> Iterator[Story]:
    with running_simulator(users=30, sessions_per_day=12, clock="2020-01-03T00:00:00Z") as simulator:
        # Half of what comes is bad on purpose.
        rig = new_rig(stack, spark, simulator.url, look_back=1, max_rejected=1.0)
        rig.run(BEFORE)
        rig.catalogue.run("mutate", "--seed", 7, "--updates", 6, "--inserts", 3, "--deletes", 2)
        rig.catalogue.run("spoil", "--kinds", "track_id_duplicate,song_id_null")
        simulator.clock("2020-08-01T00:00:00Z")
        simulator.bad(
            ["item_price_above", "session_id_duplicate", "session_start_time_words", "user_name_null"], every=1
        )
        before = rig.keep()
        rig.run(DAYS)
        end = end_of(rig)
        assert end.branches == []
        assert {row["entity"] for row in end.silver[layout.QUARANTINE]} == set(ALL)
        yield Story(rig, before, end)


@pytest.fixture(scope="module")
def died(story: Story) -> dict[Failpoint, list[int]]:
    """Each stage dies at each of its failpoints, and the same command comes again each time. How they ended."""
    story.rig.go_back(story.before)
    codes: dict[Failpoint, list[int]] = {}
    for stage in Stage:
        for failpoint, (stage_of_it, entities) in DEATHS.items():
            if stage_of_it is stage:
                codes[failpoint] = [
                    story.rig.command(
                        stage, *([entity] if entity else []), days=DAYS, DEFTUNES_FAILPOINT=failpoint
                    ).returncode
                    for entity in entities
                ]
        for entity in (None,) if stage is Stage.MODEL else ALL:
            story.rig.stage(stage, entity, DAYS)
    return codes


@pytest.mark.parametrize("failpoint", Failpoint)
def test_every_failpoint_is_reached(died: dict[Failpoint, list[int]], failpoint: Failpoint) -> None:
    assert died[failpoint]
    assert set(died[failpoint]) == {-signal.SIGKILL}


def test_after_a_kill_everywhere_the_end_is_the_same(story: Story, died: dict[Failpoint, list[int]]) -> None:
    _assert_same_end(story)
    before = story.rig.snapshots()
    story.rig.run(DAYS)
    assert story.rig.snapshots() == before


def test_after_a_kill_of_each_server_the_end_is_the_same(story: Story) -> None:
    story.rig.go_back(story.before)
    for part, stage, entity in SERVERS:
        with story.rig.resources() as resources, pytest.raises(DeftunesError) as failed:  # noqa: PT012 - a run is lazy
            for outcome in run_pipeline(resources, PipelineName.ALL, interval(DAYS)):
                if (outcome.stage, outcome.entity) == (stage, entity):
                    _kill(story.rig, part)
        assert failed.value.exit_code == 75, failed.value
        assert "un the command again" in str(failed.value)
        unset = story.rig.settings.model_copy(update={"lake": None, "songs_dsn": None, "warehouse_dsn": None})
        embedded.resolve(unset, {Service.AWS, Service.POSTGRES})
    story.rig.run(DAYS)
    _assert_same_end(story)


def _kill(rig: Rig, part: Service) -> None:
    pids = {status.service: status.pid for status in embedded.service_statuses(rig.settings)}
    pid = pids[part]
    assert pid
    os.kill(pid, signal.SIGKILL)


def _assert_same_end(story: Story) -> None:
    end = end_of(story.rig)
    assert_same(story.end.gold, end.gold)
    assert end == story.end
