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
from support.silver import T0, sale, song, user, user_id
from support.warehouse import WarehouseEnd, empty_warehouse_end

DAY = timedelta(days=1)
D1, D2, D3 = (T0.date() + DAY * n for n in range(3))


if TYPE_CHECKING:
    from support.stack import Stack


@pytest.fixture
def end(stack: "Stack", tmp_path: Path) -> WarehouseEnd:
    return empty_warehouse_end(stack, tmp_path)


def rows_of(end: WarehouseEnd, entity: Entity) -> list[tuple[object, ...]]:
    columns = declared.TABLES[entity].column_names
    return sorted(end.warehouse.query(f"select {', '.join(columns)} from {layout.DATABASE}.{entity}").rows, key=repr)


def main_of(end: WarehouseEnd, entity: Entity) -> list[tuple[object, ...]]:
    columns = declared.TABLES[entity].column_names
    return sorted((tuple(row.get(name) for name in columns) for row in end.silver.rows[entity]), key=repr)


def noted(end: WarehouseEnd) -> set[tuple[object, ...]]:
    return set(end.warehouse.query(f"select entity, unit, since from {bookkeeping.CHANGED}").rows)


def forget(end: WarehouseEnd) -> None:
    with end.warehouse.hold(exclusive=True) as session, session.transaction():
        bookkeeping.clear_changes(session, project="digest")


def transactions(end: WarehouseEnd) -> object:
    """A counter that every transaction that wrote something moves on."""
    return end.warehouse.query("select pg_snapshot_xmax(pg_current_snapshot())::text").rows


def test_every_value_arrives_as_it_is(end: WarehouseEnd) -> None:
    texts = ["", None, " ", "\\N", "\\.", 'a"b', "a\nb\n\\.\n", "a\r\nb", "a\tb", "a,b", "é😀", '""', "NULL"]
    end.silver.put_songs([song(number, title=text, year=None) for number, text in enumerate(texts)])
    end.silver.put_users([user(1, user_since=None, latitude=Decimal("-0.00000001"))], at=T0)
    late = T0 + timedelta(hours=23, minutes=59, seconds=59, microseconds=999999)
    end.silver.put_sessions({D1: [sale(1, 1, at=late, price=Decimal("0.00")), sale(1, 3, at=late, liked=None)]})
    end.load()
    for entity in Entity:
        assert rows_of(end, entity) == main_of(end, entity)


def test_a_nul_character_becomes_the_replacement_character(end: WarehouseEnd) -> None:
    end.silver.put_songs([song(1, title="a\0b")])
    end.load(Entity.SONGS)
    assert end.warehouse.query(f"select title from {layout.DATABASE}.songs").rows == [("a\ufffdb",)]


def test_nothing_new_writes_nothing(end: WarehouseEnd) -> None:
    end.silver.put_songs([song(1)])
    end.silver.put_sessions({D1: [sale(1, at=T0)]})
    end.load()
    before = transactions(end)
    assert [loaded.changed for loaded in end.load()] == [False, False, False]
    assert transactions(end) == before


def test_before_the_first_batch_the_tables_are_there_and_empty(end: WarehouseEnd) -> None:
    end.silver.catalog.drop_table((layout.DATABASE, "users"))
    assert [(loaded.snapshot_id, loaded.changed) for loaded in end.load()] == [(None, False)] * 3
    assert [rows_of(end, entity) for entity in Entity] == [[], [], []]


def test_only_the_replaced_days_are_written_and_noted(end: WarehouseEnd) -> None:
    end.silver.put_sessions({day: [sale(number, at=T0 + DAY * number)] for number, day in enumerate((D1, D2, D3))})
    end.load(Entity.SESSIONS)
    forget(end)
    end.silver.put_sessions({D2: [sale(7, at=T0 + DAY), sale(8, at=T0 + DAY)]})
    (loaded,) = end.load(Entity.SESSIONS)
    assert loaded.rows == 2
    assert rows_of(end, Entity.SESSIONS) == main_of(end, Entity.SESSIONS)
    assert noted(end) == {("sessions", D2.isoformat(), None)}


def test_an_emptied_day_loses_its_rows(end: WarehouseEnd) -> None:
    end.silver.put_sessions({D1: [sale(1, at=T0)], D2: [sale(2, at=T0 + DAY)]})
    end.load(Entity.SESSIONS)
    end.silver.put_sessions({D1: []})
    end.load(Entity.SESSIONS)
    assert rows_of(end, Entity.SESSIONS) == main_of(end, Entity.SESSIONS)


def test_a_session_under_another_day_leaves_the_old_one(end: WarehouseEnd) -> None:
    end.silver.put_sessions({D1: [sale(1, at=T0), sale(2, at=T0)]})
    end.load(Entity.SESSIONS)
    forget(end)
    end.silver.put_sessions({D3: [sale(1, at=T0 + 2 * DAY)]})
    end.load(Entity.SESSIONS)
    assert rows_of(end, Entity.SESSIONS) == main_of(end, Entity.SESSIONS)
    assert noted(end) == {("sessions", D1.isoformat(), None), ("sessions", D3.isoformat(), None)}


def test_several_batches_behind_arrive_together(end: WarehouseEnd) -> None:
    end.silver.put_songs([song(number) for number in range(5)])
    end.load(Entity.SONGS)
    forget(end)
    end.silver.put_songs([song(1, title="old")])
    end.silver.put_songs([song(1, title="new"), song(9)])
    end.silver.put_songs([song(2, is_deleted=True)])
    (loaded,) = end.load(Entity.SONGS)
    assert loaded.rows == 3
    assert rows_of(end, Entity.SONGS) == main_of(end, Entity.SONGS)
    assert noted(end) == {("songs", song(number)["track_id"], None) for number in (1, 2, 9)}


def test_a_landing_of_the_same_instant_removes_versions(end: WarehouseEnd) -> None:
    end.silver.put_users([user(1), user(2)], at=T0)
    end.load(Entity.USERS)
    end.silver.put_users([user(1, place_name="b"), user(2, place_name="b")], at=T0 + DAY)
    end.load(Entity.USERS)
    forget(end)
    end.silver.put_users([user(1, place_name="c")], at=T0 + DAY)
    end.load(Entity.USERS)
    assert rows_of(end, Entity.USERS) == main_of(end, Entity.USERS)
    assert noted(end) == {("users", user_id(1), T0 + DAY), ("users", user_id(2), T0 + DAY)}


def test_main_set_back_is_loaded_anew(end: WarehouseEnd) -> None:
    end.silver.put_songs([song(1)])
    kept = list(end.silver.rows[Entity.SONGS])
    first = end.silver.table(Entity.SONGS).current_snapshot()
    end.silver.put_songs([song(1, title="withdrawn"), song(2)])
    end.load(Entity.SONGS)
    forget(end)
    assert first is not None
    end.silver.table(Entity.SONGS).manage_snapshots().rollback_to_snapshot(first.snapshot_id).commit()
    end.silver.rows[Entity.SONGS] = kept
    end.load(Entity.SONGS)
    assert rows_of(end, Entity.SONGS) == main_of(end, Entity.SONGS)
    assert noted(end) == {("songs", "*", None)}


def test_a_new_silver_column_is_null_for_the_past(end: WarehouseEnd) -> None:
    end.silver.put_songs([song(1), song(2)])
    end.load(Entity.SONGS)
    with end.silver.table(Entity.SONGS).update_schema() as update:
        update.add_column("mood", StringType())
    end.silver.put_songs([song(2, mood="calm"), song(3, mood="wild")])
    end.load(Entity.SONGS)
    moods = end.warehouse.query(f"select mood from {layout.DATABASE}.songs order by track_id").rows
    assert moods == [(None,), ("calm",), ("wild",)]


def test_a_lost_manifest_changes_nothing(end: WarehouseEnd) -> None:
    end.silver.put_sessions({D1: [sale(1, at=T0)]})
    end.load(Entity.SESSIONS)
    before = rows_of(end, Entity.SESSIONS)
    batch = end.silver.put_sessions({D1: [sale(2, at=T0)]})
    manifest = layout.batch_key(Entity.SESSIONS, batch)
    end.silver.lake.put_json(f"{manifest}.kept", end.silver.lake.get_json(manifest) or {})
    end.silver.lake._client.delete_object(Bucket=end.silver.lake.bucket, Key=end.silver.lake.prefix + manifest)
    with pytest.raises(DeftunesError, match=f"expected the manifest of batch {batch}"):
        end.load(Entity.SESSIONS)
    assert rows_of(end, Entity.SESSIONS) == before


def test_two_loads_at_once_write_it_once(end: WarehouseEnd) -> None:
    end.silver.put_songs([song(number) for number in range(50)])
    end.load()
    end.silver.put_songs([song(number, title="new") for number in range(25)])
    outcomes: list[int] = []

    def run() -> None:
        outcomes.append(load(end.silver.catalog, end.silver.lake, end.warehouse, Entity.SONGS).rows)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == [0, 0, 0, 25]
    assert rows_of(end, Entity.SONGS) == main_of(end, Entity.SONGS)


def test_load_waits_for_a_model_and_gives_up(stack: "Stack", tmp_path: Path) -> None:
    end = empty_warehouse_end(stack, tmp_path, lock_timeout=0.2)
    end.silver.put_songs([song(1)])
    with end.warehouse.hold(exclusive=True), pytest.raises(RetriableError, match=r"within 0\.2 s"):
        end.load(Entity.SONGS)
    with end.warehouse.hold(exclusive=False):  # another load is no reason to wait
        assert end.load(Entity.SONGS)[0].rows == 1


def test_a_load_that_breaks_off_changes_nothing(end: WarehouseEnd, monkeypatch: pytest.MonkeyPatch) -> None:
    end.silver.put_songs([song(1)])
    end.load()
    before = rows_of(end, Entity.SONGS)
    end.silver.put_songs([song(1, title="new")])
    with monkeypatch.context() as patched:
        patched.setattr("deftunes.load.stage.reach", _break_off)
        with pytest.raises(RuntimeError):
            end.load(Entity.SONGS)
    assert rows_of(end, Entity.SONGS) == before
    end.load(Entity.SONGS)
    assert rows_of(end, Entity.SONGS) == main_of(end, Entity.SONGS)


def _break_off(_: object) -> None:
    raise RuntimeError
