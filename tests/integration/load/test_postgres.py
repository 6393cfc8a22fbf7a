"""`load` makes the warehouse's silver equal to `main`, and writes only what changed."""

import threading
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pyiceberg.types import StringType

from deftunes.core import layout
from deftunes.core.entities import Entity
from deftunes.core.errors import DeftunesError, RetriableError
from deftunes.load.stage import load
from deftunes.state import bookkeeping
from deftunes.state import schema as declared
from support.gold import assert_gold_matches_silver
from support.ids import user_id
from support.silver import T0, session_item, song_row, user_version
from support.warehouse import WarehousePipeline, new_warehouse_pipeline

DAY = timedelta(days=1)
D1, D2, D3 = (T0.date() + DAY * n for n in range(3))


if TYPE_CHECKING:
    from support.stack import Stack


@pytest.fixture
def pipeline(stack: "Stack", tmp_path: Path) -> WarehousePipeline:
    return new_warehouse_pipeline(stack, tmp_path)


def rows_of(pipeline: WarehousePipeline, entity: Entity) -> list[tuple[object, ...]]:
    columns = declared.TABLES[entity].column_names
    return sorted(
        pipeline.warehouse.query(f"select {', '.join(columns)} from {layout.DATABASE}.{entity}").rows, key=repr
    )


def main_of(pipeline: WarehousePipeline, entity: Entity) -> list[tuple[object, ...]]:
    columns = declared.TABLES[entity].column_names
    return sorted((tuple(row.get(name) for name in columns) for row in pipeline.silver.rows[entity]), key=repr)


def enqueued(pipeline: WarehousePipeline) -> set[tuple[object, ...]]:
    return set(pipeline.warehouse.query(f"select entity, unit, since from {bookkeeping.CHANGED}").rows)


def clear_queue(pipeline: WarehousePipeline) -> None:
    with pipeline.warehouse.hold(exclusive=True) as session, session.transaction():
        bookkeeping.clear_changes(session, project="digest")


def transactions(pipeline: WarehousePipeline) -> object:
    """A counter that every transaction that wrote something moves on."""
    return pipeline.warehouse.query("select pg_snapshot_xmax(pg_current_snapshot())::text").rows


def test_every_value_arrives_as_it_is(pipeline: WarehousePipeline) -> None:
    texts = ["", None, " ", "\\N", "\\.", 'a"b', "a\nb\n\\.\n", "a\r\nb", "a\tb", "a,b", "é😀", '""', "NULL"]
    pipeline.silver.upsert_songs([song_row(number, title=text, year=None) for number, text in enumerate(texts)])
    pipeline.silver.replace_user_versions([user_version(1, user_since=None, latitude=Decimal("-0.00000001"))], at=T0)
    late = T0 + timedelta(hours=23, minutes=59, seconds=59, microseconds=999999)
    pipeline.silver.replace_days(
        {D1: [session_item(1, 1, at=late, price=Decimal("0.00")), session_item(1, 3, at=late, liked=None)]}
    )
    pipeline.load()
    for entity in Entity:
        assert rows_of(pipeline, entity) == main_of(pipeline, entity)


def test_a_nul_character_becomes_the_replacement_character(pipeline: WarehousePipeline) -> None:
    pipeline.silver.upsert_songs([song_row(1, title="a\0b")])
    pipeline.load(Entity.SONGS)
    assert pipeline.warehouse.query(f"select title from {layout.DATABASE}.songs").rows == [("a\ufffdb",)]


def test_nothing_new_writes_nothing(pipeline: WarehousePipeline) -> None:
    pipeline.silver.upsert_songs([song_row(1)])
    pipeline.silver.replace_days({D1: [session_item(1, at=T0)]})
    pipeline.load()
    before = transactions(pipeline)
    assert [loaded.changed for loaded in pipeline.load()] == [False, False, False]
    assert transactions(pipeline) == before


def test_before_the_first_batch_the_tables_are_there_and_empty(pipeline: WarehousePipeline) -> None:
    pipeline.silver.catalog.drop_table((layout.DATABASE, "users"))
    assert [(loaded.snapshot_id, loaded.changed) for loaded in pipeline.load()] == [(None, False)] * 3
    assert [rows_of(pipeline, entity) for entity in Entity] == [[], [], []]


def test_only_the_replaced_days_are_written_and_enqueued(pipeline: WarehousePipeline) -> None:
    pipeline.silver.replace_days(
        {day: [session_item(number, at=T0 + DAY * number)] for number, day in enumerate((D1, D2, D3))}
    )
    pipeline.load(Entity.SESSIONS)
    clear_queue(pipeline)
    pipeline.silver.replace_days({D2: [session_item(7, at=T0 + DAY), session_item(8, at=T0 + DAY)]})
    (loaded,) = pipeline.load(Entity.SESSIONS)
    assert loaded.rows == 2
    assert rows_of(pipeline, Entity.SESSIONS) == main_of(pipeline, Entity.SESSIONS)
    assert enqueued(pipeline) == {("sessions", D2.isoformat(), None)}


def test_an_emptied_day_loses_its_rows(pipeline: WarehousePipeline) -> None:
    pipeline.silver.replace_days({D1: [session_item(1, at=T0)], D2: [session_item(2, at=T0 + DAY)]})
    pipeline.load(Entity.SESSIONS)
    pipeline.silver.replace_days({D1: []})
    pipeline.load(Entity.SESSIONS)
    assert rows_of(pipeline, Entity.SESSIONS) == main_of(pipeline, Entity.SESSIONS)


def test_a_session_under_another_day_leaves_the_old_one(pipeline: WarehousePipeline) -> None:
    pipeline.silver.replace_days({D1: [session_item(1, at=T0), session_item(2, at=T0)]})
    pipeline.load(Entity.SESSIONS)
    clear_queue(pipeline)
    pipeline.silver.replace_days({D3: [session_item(1, at=T0 + 2 * DAY)]})
    pipeline.load(Entity.SESSIONS)
    assert rows_of(pipeline, Entity.SESSIONS) == main_of(pipeline, Entity.SESSIONS)
    assert enqueued(pipeline) == {("sessions", D1.isoformat(), None), ("sessions", D3.isoformat(), None)}


def test_several_batches_behind_arrive_together(pipeline: WarehousePipeline) -> None:
    pipeline.silver.upsert_songs([song_row(number) for number in range(5)])
    pipeline.load(Entity.SONGS)
    clear_queue(pipeline)
    pipeline.silver.upsert_songs([song_row(1, title="old")])
    pipeline.silver.upsert_songs([song_row(1, title="new"), song_row(9)])
    pipeline.silver.upsert_songs([song_row(2, is_deleted=True)])
    (loaded,) = pipeline.load(Entity.SONGS)
    assert loaded.rows == 3
    assert rows_of(pipeline, Entity.SONGS) == main_of(pipeline, Entity.SONGS)
    assert enqueued(pipeline) == {("songs", song_row(number)["track_id"], None) for number in (1, 2, 9)}


def test_a_landing_of_the_same_instant_removes_versions(pipeline: WarehousePipeline) -> None:
    pipeline.silver.replace_user_versions([user_version(1), user_version(2)], at=T0)
    pipeline.load(Entity.USERS)
    pipeline.silver.replace_user_versions(
        [user_version(1, place_name="b"), user_version(2, place_name="b")], at=T0 + DAY
    )
    pipeline.load(Entity.USERS)
    clear_queue(pipeline)
    pipeline.silver.replace_user_versions([user_version(1, place_name="c")], at=T0 + DAY)
    pipeline.load(Entity.USERS)
    assert rows_of(pipeline, Entity.USERS) == main_of(pipeline, Entity.USERS)
    assert enqueued(pipeline) == {("users", user_id(1), T0 + DAY), ("users", user_id(2), T0 + DAY)}


def test_main_set_back_is_loaded_anew(pipeline: WarehousePipeline) -> None:
    pipeline.silver.upsert_songs([song_row(1)])
    before = list(pipeline.silver.rows[Entity.SONGS])
    first = pipeline.silver.table(Entity.SONGS).current_snapshot()
    pipeline.silver.upsert_songs([song_row(1, title="withdrawn"), song_row(2)])
    pipeline.load(Entity.SONGS)
    clear_queue(pipeline)
    assert first is not None
    pipeline.silver.table(Entity.SONGS).manage_snapshots().rollback_to_snapshot(first.snapshot_id).commit()
    pipeline.silver.rows[Entity.SONGS] = before
    pipeline.load(Entity.SONGS)
    assert rows_of(pipeline, Entity.SONGS) == main_of(pipeline, Entity.SONGS)
    assert enqueued(pipeline) == {("songs", "*", None)}


@pytest.mark.parametrize(
    "lost",
    [
        f"drop table {layout.DATABASE}.songs cascade",
        f"truncate {layout.DATABASE}.songs",
        f"truncate {layout.DATABASE}.songs, {bookkeeping.LOADED}",
    ],
    ids=["a table", "the rows of a table", "the rows of a copy"],
)
def test_what_the_warehouse_lost_is_loaded_anew(pipeline: WarehousePipeline, lost: str) -> None:
    pipeline.silver.upsert_songs([song_row(1), song_row(2)])
    pipeline.load()
    clear_queue(pipeline)
    with pipeline.warehouse.hold(exclusive=True) as session, session.transaction():
        session.run(lost)

    pipeline.load()

    assert rows_of(pipeline, Entity.SONGS) == main_of(pipeline, Entity.SONGS)
    assert ("songs", bookkeeping.EVERYTHING, None) in enqueued(pipeline)


def test_a_table_that_is_empty_in_main_too_is_not_loaded_again(pipeline: WarehousePipeline) -> None:
    pipeline.silver.replace_days({D1: [session_item(1, at=T0)]})
    pipeline.load()
    pipeline.silver.replace_days({D1: []})
    pipeline.load()
    assert rows_of(pipeline, Entity.SESSIONS) == []
    before = transactions(pipeline)
    assert [loaded.changed for loaded in pipeline.load()] == [False, False, False]
    assert transactions(pipeline) == before


@pytest.mark.parametrize("lost", ["drop table {}", "drop table {}; drop table deftunes_control.loaded"])
def test_a_queue_that_was_lost_misses_no_change(pipeline: WarehousePipeline, lost: str) -> None:
    pipeline.silver.upsert_songs([song_row(1)])
    pipeline.silver.replace_user_versions([user_version(1)], at=T0)
    pipeline.silver.replace_days({D1: [session_item(1, at=T0)]})
    pipeline.load()
    pipeline.model(D1, D2)
    pipeline.silver.replace_days({D1: [session_item(1, at=T0), session_item(2, at=T0)]})
    pipeline.silver.upsert_songs([song_row(1, title="new")])
    pipeline.load()
    with pipeline.warehouse.hold(exclusive=True) as session, session.transaction():
        session.run(lost.format(bookkeeping.CHANGED))
    pipeline.load()
    pipeline.model(D2, D3)
    assert_gold_matches_silver(pipeline.warehouse, pipeline.silver.rows)


def test_a_new_silver_column_is_null_for_the_past(pipeline: WarehousePipeline) -> None:
    pipeline.silver.upsert_songs([song_row(1), song_row(2)])
    pipeline.load(Entity.SONGS)
    with pipeline.silver.table(Entity.SONGS).update_schema() as update:
        update.add_column("mood", StringType())
    pipeline.silver.upsert_songs([song_row(2, mood="calm"), song_row(3, mood="wild")])
    pipeline.load(Entity.SONGS)
    moods = pipeline.warehouse.query(f"select mood from {layout.DATABASE}.songs order by track_id").rows
    assert moods == [(None,), ("calm",), ("wild",)]


def test_a_lost_manifest_changes_nothing(pipeline: WarehousePipeline) -> None:
    pipeline.silver.replace_days({D1: [session_item(1, at=T0)]})
    pipeline.load(Entity.SESSIONS)
    before = rows_of(pipeline, Entity.SESSIONS)
    batch = pipeline.silver.replace_days({D1: [session_item(2, at=T0)]})
    manifest = layout.batch_key(Entity.SESSIONS, batch)
    pipeline.silver.lake.put_json(f"{manifest}.lost", pipeline.silver.lake.get_json(manifest) or {})
    pipeline.silver.lake._client.delete_object(
        Bucket=pipeline.silver.lake.bucket, Key=pipeline.silver.lake.prefix + manifest
    )
    with pytest.raises(DeftunesError, match=f"expected the manifest of batch {batch}"):
        pipeline.load(Entity.SESSIONS)
    assert rows_of(pipeline, Entity.SESSIONS) == before


def test_two_loads_at_once_write_it_once(pipeline: WarehousePipeline) -> None:
    pipeline.silver.upsert_songs([song_row(number) for number in range(50)])
    pipeline.load()
    pipeline.silver.upsert_songs([song_row(number, title="new") for number in range(25)])
    outcomes: list[int] = []

    def run() -> None:
        outcomes.append(load(pipeline.silver.catalog, pipeline.silver.lake, pipeline.warehouse, Entity.SONGS).rows)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == [0, 0, 0, 25]
    assert rows_of(pipeline, Entity.SONGS) == main_of(pipeline, Entity.SONGS)


def test_load_waits_for_a_model_and_gives_up(stack: "Stack", tmp_path: Path) -> None:
    pipeline = new_warehouse_pipeline(stack, tmp_path, lock_timeout=0.2)
    pipeline.silver.upsert_songs([song_row(1)])
    with pipeline.warehouse.hold(exclusive=True), pytest.raises(RetriableError, match=r"within 0\.2 s"):
        pipeline.load(Entity.SONGS)
    with pipeline.warehouse.hold(exclusive=False) as connection, connection.transaction():  # no reason to wait
        assert pipeline.load(Entity.SONGS)[0].rows == 1


def test_a_load_that_breaks_off_changes_nothing(pipeline: WarehousePipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline.silver.upsert_songs([song_row(1)])
    pipeline.load()
    before = rows_of(pipeline, Entity.SONGS)
    pipeline.silver.upsert_songs([song_row(1, title="new")])
    with monkeypatch.context() as patched:
        patched.setattr("deftunes.load.stage.crash_point", _break_off)
        with pytest.raises(RuntimeError):
            pipeline.load(Entity.SONGS)
    assert rows_of(pipeline, Entity.SONGS) == before
    pipeline.load(Entity.SONGS)
    assert rows_of(pipeline, Entity.SONGS) == main_of(pipeline, Entity.SONGS)


def _break_off(_: object) -> None:
    raise RuntimeError
