"""kill -9 at every named place and of every embedded server, then the same command again: the same gold at the end."""

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from deftunes import embedded, layout
from deftunes.entities import Entity
from deftunes.errors import DeftunesError
from deftunes.failpoints import Failpoint
from deftunes.parts import Part
from deftunes.pipeline import PipelineName, Stage, run_pipeline
from support.gold import Gold
from support.pipeline import Kept, Rig, assert_same, interval, new_rig
from support.simulator import running_simulator

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from support.stack import Stack

BEFORE, DAYS = (0, 2), (2, 3)
# Minutes of dying processes: run by hand, `pytest -m scale tests/drills`, until they are quick enough for make test.
pytestmark = pytest.mark.scale

ALL = tuple(Entity)
# Where a process without a JVM dies, each entity's does; a JVM's start is too dear to die with all of them.
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


@dataclass(frozen=True)
class End:
    """What an undisturbed run leaves."""

    gold: Gold
    silver: dict[str, list[dict[str, Any]]]


@dataclass(frozen=True)
class Story:
    """A source that changed in every way since the last run, the state before each stage, the end without deaths."""

    rig: Rig
    before: dict[Stage, Kept]
    end: End


def end_of(rig: Rig) -> End:
    return End(rig.gold(), {name: _timeless(rig.silver(name)) for name in (*ALL, layout.QUARANTINE)})


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
        before = {}
        for stage in Stage:
            before[stage] = rig.keep()
            for entity in (None,) if stage is Stage.MODEL else ALL:
                rig.stage(stage, entity, DAYS)
        end = end_of(rig)
        assert {row["entity"] for row in end.silver["quarantine"]} == set(ALL)
        yield Story(rig, before, end)


@pytest.mark.parametrize("failpoint", Failpoint)
def test_a_kill_and_the_same_command_again(story: Story, failpoint: Failpoint) -> None:
    stage, entities = DEATHS[failpoint]
    story.rig.go_back(story.before[stage])
    for entity in entities:
        died = story.rig.command(stage, *([entity] if entity else []), days=DAYS, DEFTUNES_FAILPOINT=failpoint)
        assert died.returncode == -signal.SIGKILL, f"{failpoint} of {entity} was never reached: {died.stderr}"
        story.rig.stage(stage, entity, DAYS)
    story.rig.run(DAYS)
    _assert_ended_well(story, failpoint)


@pytest.mark.parametrize(
    ("part", "after"),
    [
        (Part.AWS, (Stage.EXTRACT, Entity.SESSIONS)),
        (Part.AWS, (Stage.TRANSFORM, Entity.SONGS)),
        (Part.AWS, (Stage.PUBLISH, Entity.USERS)),
        (Part.POSTGRES, (Stage.LOAD, Entity.USERS)),
    ],
    ids=str,
)
def test_a_server_is_killed_in_mid_run(story: Story, part: Part, after: tuple[Stage, Entity]) -> None:
    story.rig.go_back(story.before[Stage.EXTRACT])
    with story.rig.platform() as platform, pytest.raises(DeftunesError) as failed:  # noqa: PT012 - the run is lazy
        for outcome in run_pipeline(platform, PipelineName.ALL, interval(DAYS)):
            if (outcome.stage, outcome.entity) == after:
                _kill(story.rig, part)
    assert failed.value.exit_code in {1, 75}
    assert "run" in str(failed.value)
    embedded.resolve(story.rig.settings.model_copy(update=_UNSET), {Part.AWS, Part.POSTGRES})
    story.rig.run(DAYS)
    _assert_ended_well(story, part)


_UNSET = {"lake": None, "songs_dsn": None, "warehouse_dsn": None}


def _kill(rig: Rig, part: Part) -> None:
    pids = {status.part: status.pid for status in embedded.parts(rig.settings)}
    pid = pids[part]
    assert pid
    os.kill(pid, signal.SIGKILL)


def _assert_ended_well(story: Story, context: object) -> None:
    end = end_of(story.rig)
    assert_same(story.end.gold, end.gold, context)
    assert end.silver == story.end.silver, context
    assert story.rig.branches() == []
