"""The stages as processes of their own, as Airflow runs them, with other work in between: each ends well by itself."""

from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING

import psycopg2
import pytest

from deftunes.adapters.catalog import drop_branch, silver_table
from deftunes.core.entities import Entity
from deftunes.core.errors import DeftunesError, RetriableError
from deftunes.core.stages import PipelineName, Stage
from deftunes.operations.maintain import maintain
from support.ids import session_id
from support.pipeline import DAY, OPENING, Days, Pipeline, interval, new_pipeline
from support.shop import Shop, open_shop

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from support.stack import Stack

EXTRACT, TRANSFORM, QUALITY, PUBLISH = Stage.EXTRACT, Stage.TRANSFORM, Stage.QUALITY, Stage.PUBLISH


@pytest.fixture
def shop() -> Iterator[Shop]:
    with open_shop() as shop:
        shop.upsert_user(1)
        sell(shop, 6, day=6)
        sell(shop, 7, day=7)
        yield shop


@pytest.fixture
def pipeline(stack: "Stack", spark: "SparkSession", shop: Shop) -> Pipeline:
    return new_pipeline(stack, shop.url, songs=20, look_back=2, spark=spark)


def sell(shop: Shop, number: int, *, day: int) -> None:
    shop.later()
    shop.sell(number, f"{OPENING + day * DAY}T12:00:00Z", 0.99)


def tasks(pipeline: Pipeline, entity: Entity, days: Days, *stages: Stage) -> list[Stage]:
    """These stages, each by itself; returns what was done."""
    return [outcome.stage for stage in stages for outcome in pipeline.stage(stage, entity, days)]


def assert_refused(pipeline: Pipeline, entity: Entity, days: Days, stage: Stage, missing: Stage) -> None:
    with pytest.raises(DeftunesError) as failed:
        tasks(pipeline, entity, days, stage)
    asked = interval(days)  # not what it is widened to: the command widens it by itself
    assert str(failed.value).endswith(f"run: deftunes {missing} {entity} --start {asked.start} --end {asked.end}")
    assert not isinstance(failed.value, RetriableError)


def test_maintenance_between_the_stages(pipeline: Pipeline) -> None:
    """It moves main without a batch, so the batch that was under way keeps its id and is on no branch of main."""
    pipeline = pipeline.with_settings(engine="spark")  # whose changed songs leave something to compact
    days = (0, 1)

    def change_a_song(title: str) -> None:
        with closing(psycopg2.connect(pipeline.catalogue.dsn)) as connection, connection, connection.cursor() as cursor:
            cursor.execute(
                "update deftunes.songs set title = %s where track_id = (select min(track_id) from deftunes.songs)",
                (title,),
            )

    def compact() -> None:
        before = pipeline.silver_snapshots()[Entity.SONGS]
        with pipeline.resources() as resources:
            list(maintain(resources.spark, resources.catalog, keep_days=7))
        assert pipeline.silver_snapshots()[Entity.SONGS] != before

    pipeline.run_until_published(days, PipelineName.SONGS)
    change_a_song("one")
    pipeline.run_until_published(days, PipelineName.SONGS)  # leaves a delete file, which is worth a rewrite
    change_a_song("two")
    tasks(pipeline, Entity.SONGS, days, EXTRACT, TRANSFORM, QUALITY)
    compact()
    assert tasks(pipeline, Entity.SONGS, days, PUBLISH) == [TRANSFORM, QUALITY, PUBLISH]
    change_a_song("three")
    tasks(pipeline, Entity.SONGS, days, EXTRACT, TRANSFORM)
    compact()
    assert_refused(pipeline, Entity.SONGS, days, PUBLISH, QUALITY)
    assert tasks(pipeline, Entity.SONGS, days, QUALITY) == [TRANSFORM, QUALITY]
    assert tasks(pipeline, Entity.SONGS, days, PUBLISH) == [PUBLISH]
    assert pipeline.branches() == []
    assert min((row["track_id"], row["title"]) for row in pipeline.silver(Entity.SONGS))[1] == "three"


def test_landings_and_batches_of_other_runs_between_the_stages(pipeline: Pipeline, shop: Shop) -> None:
    """They change which landings are in use for our interval, so our batch has another id than the one written."""
    ours, before = (7, 8), (6, 7)  # the day before is looked back to once it is landed

    def our(*stages: Stage) -> list[Stage]:
        return tasks(pipeline, Entity.SESSIONS, ours, *stages)

    our(EXTRACT)
    assert_refused(pipeline, Entity.SESSIONS, ours, QUALITY, TRANSFORM)
    our(TRANSFORM)
    tasks(pipeline, Entity.SESSIONS, before, EXTRACT)
    assert_refused(pipeline, Entity.SESSIONS, ours, PUBLISH, QUALITY)
    assert our(QUALITY) == [TRANSFORM, QUALITY]
    sell(shop, 106, day=6)
    tasks(pipeline, Entity.SESSIONS, before, EXTRACT, TRANSFORM, QUALITY, PUBLISH)
    assert pipeline.branches() == []  # ours can never be published: dropped by the other run
    assert our(PUBLISH) == [TRANSFORM, QUALITY, PUBLISH]

    # What is published is no proof for what was landed since.
    sell(shop, 107, day=7)
    our(EXTRACT)
    assert_refused(pipeline, Entity.SESSIONS, ours, QUALITY, TRANSFORM)
    assert_refused(pipeline, Entity.SESSIONS, ours, PUBLISH, QUALITY)
    our(TRANSFORM)
    with pipeline.resources() as resources:  # as another try of transform does before it writes
        table = silver_table(resources.catalog, Entity.SESSIONS)
        assert table
        drop_branch(table, *pipeline.branches())
    assert our(QUALITY, PUBLISH) == [TRANSFORM, QUALITY, PUBLISH]
    assert pipeline.branches() == []
    sold = sorted(row["session_id"] for row in pipeline.silver(Entity.SESSIONS))
    assert sold == [session_id(number) for number in (6, 7, 106, 107)]
