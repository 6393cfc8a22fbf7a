"""What the warehouse tells of its data's trust is what the lake holds, whatever the way there was."""

import hashlib
import random
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from deftunes.core import layout
from deftunes.core.entities import Entity
from deftunes.core.errors import DeftunesError
from deftunes.core.failpoints import Failpoint
from deftunes.state import bookkeeping, quarantine, trust
from deftunes.state.quarantine import Rejected
from deftunes.state.trust import RUN_DAYS, bring_trust
from support.silver import T0
from support.warehouse import WarehousePipeline, new_warehouse_pipeline

if TYPE_CHECKING:
    from support.stack import Stack

DAY = timedelta(days=1)
NOW = T0 + timedelta(hours=12)
TODAY = NOW.date()
BAD_PRICE = 'ColumnValues "price" <= 2'
REASONS = (
    BAD_PRICE,
    "price: expected at most 2 decimals, got 1.23456",
    "price: expected at most 2 decimals, got 7.001",
)


@dataclass
class Trust:
    """A warehouse with its views, built once and for all, over an empty quarantine and no runs."""

    pipeline: WarehousePipeline
    held: dict[tuple[Entity, str], Rejected] = field(default_factory=dict)

    def bring(self, today: date = TODAY) -> None:
        bring_trust(self.pipeline.silver.lake, self.pipeline.silver.catalog, self.pipeline.warehouse, today)

    def rows(self, view: str) -> list[tuple[Any, ...]]:
        return self.pipeline.warehouse.query(f"select * from {layout.BI_SCHEMA}.{view} order by 1, 2").rows

    def reject(self, *numbers: int, entity: Entity = Entity.SESSIONS, reasons: Sequence[str] = REASONS[:1]) -> None:
        rejected = [
            Rejected(
                entity=entity,
                record_sha256=f"{number:064x}",
                batch_id="0" * 16,
                reasons=tuple(reasons),
                record=f'{{"user_lastname": "Secret {number}"}}',
                source="landing",
                day=None if entity.is_snapshot else TODAY + DAY * (number % 3),
                ingested_at=T0 + timedelta(hours=number),
            )
            for number in numbers
        ]
        quarantine.add(self.pipeline.silver.catalog, rejected)
        self.held |= {
            (entity, row.record_sha256): row for row in rejected if (entity, row.record_sha256) not in self.held
        }

    def release(self, *numbers: int, entity: Entity = Entity.SESSIONS) -> None:
        quarantine.release(self.pipeline.silver.catalog, entity, [f"{number:064x}" for number in numbers])
        for number in numbers:
            self.held.pop((entity, f"{number:064x}"), None)

    def expected(self) -> list[tuple[Any, ...]]:
        """The view as its description says, from what was rejected and released."""
        instants: dict[tuple[str, str], list[datetime]] = {}
        for row in self.held.values():
            for reason in {reason.partition(", got ")[0] for reason in row.reasons}:
                instants.setdefault((row.entity, reason), []).append(row.ingested_at)
        return sorted((*what, len(times), min(times), max(times)) for what, times in instants.items())

    def ran(self, stage: str, entity: str, begin: datetime, minutes: int = 1, **rest: object) -> tuple[Any, ...]:
        """Record a run; returns its line of `last_runs_vw`."""
        run_id = hashlib.sha256(repr((stage, entity, begin)).encode()).hexdigest()[:8]
        end = begin + timedelta(minutes=minutes)
        record = {
            "run_id": run_id, "stage": stage, "entity": entity, "interval": ["2025-01-01", "2025-01-02"],
            "started_at": str(begin), "ended_at": str(end), **(rest or {"result": {"rows": 1}}),
        }  # fmt: skip
        self.pipeline.silver.lake.put_json(layout.run_key(stage, entity, run_id, begin), record)
        return (stage, entity, begin, end, *trust.ending(record), run_id)

    def transactions(self) -> object:
        """A counter that every transaction that wrote something moves on."""
        return self.pipeline.warehouse.query("select pg_snapshot_xmax(pg_current_snapshot())::text").rows


@pytest.fixture(scope="module")
def built(stack: "Stack", tmp_path_factory: pytest.TempPathFactory) -> WarehousePipeline:
    pipeline = new_warehouse_pipeline(stack, tmp_path_factory.getbasetemp() / "dbt")
    pipeline.load()
    pipeline.model(TODAY, TODAY + DAY)
    return pipeline


@pytest.fixture
def warehouse(built: WarehousePipeline) -> Iterator[Trust]:
    built.silver.quarantine()
    yield Trust(built)
    built.silver.catalog.drop_table((layout.DATABASE, layout.QUARANTINE))
    for key in built.silver.lake.keys(layout.RUNS_PREFIX):
        built.silver.lake._client.delete_object(Bucket=built.silver.lake.bucket, Key=built.silver.lake.prefix + key)
    with built.warehouse.hold(exclusive=True) as session, session.transaction():
        session.run(f"delete from {bookkeeping.RUNS}")
        session.run(f"delete from {bookkeeping.HELD_BACK}")
        session.run(f"update {bookkeeping.LOADED} set snapshot_id = null where entity = '{layout.QUARANTINE}'")


def test_an_empty_warehouse_has_one_row_of_nothing(warehouse: Trust) -> None:
    warehouse.bring()
    assert warehouse.rows("data_as_of_vw") == [(None, 0, 0, None, None, None)]
    assert warehouse.rows("records_held_back_vw") == []
    assert warehouse.rows("last_runs_vw") == []
    warehouse.pipeline.silver.catalog.drop_table((layout.DATABASE, layout.QUARANTINE))
    warehouse.bring()  # as before the first batch
    assert warehouse.rows("records_held_back_vw") == []
    warehouse.pipeline.silver.quarantine()


def test_held_back_records_are_counted_by_reason_until_they_are_released(warehouse: Trust) -> None:
    warehouse.reject(1, 2, 3, reasons=REASONS)  # two reasons, one of them with two values
    warehouse.reject(4)
    warehouse.reject(1, entity=Entity.USERS, reasons=["user_since: expected an ISO 8601 instant, got text"])
    warehouse.bring()
    assert warehouse.rows("records_held_back_vw") == [
        ("sessions", BAD_PRICE, 4, T0 + timedelta(hours=1), T0 + timedelta(hours=4)),
        ("sessions", "price: expected at most 2 decimals", 3, T0 + timedelta(hours=1), T0 + timedelta(hours=3)),
        ("users", "user_since: expected an ISO 8601 instant", 1, T0 + timedelta(hours=1), T0 + timedelta(hours=1)),
    ]
    warehouse.release(1, 4)
    warehouse.release(1, entity=Entity.USERS)
    warehouse.bring()
    assert [row[:3] for row in warehouse.rows("records_held_back_vw")] == [
        ("sessions", BAD_PRICE, 2),
        ("sessions", "price: expected at most 2 decimals", 2),
    ]
    warehouse.release(2, 3)
    warehouse.bring()
    assert warehouse.rows("records_held_back_vw") == []


def test_no_value_of_a_record_reaches_the_warehouse(warehouse: Trust) -> None:
    warehouse.reject(1, reasons=REASONS)
    warehouse.bring()
    held = warehouse.pipeline.warehouse.query(f"select * from {bookkeeping.HELD_BACK}").rows
    assert held
    for piece in ("Secret", "1.23456", "7.001"):
        assert piece not in repr(held)


@pytest.mark.parametrize("seed", [1, 2])
def test_any_history_of_the_quarantine_ends_in_what_it_holds(warehouse: Trust, seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(8):
        entity = chance.choice((Entity.SESSIONS, Entity.USERS))
        numbers = chance.sample(range(12), chance.randrange(1, 6))
        if chance.random() < 0.6:
            warehouse.reject(*numbers, entity=entity, reasons=chance.sample(REASONS, chance.randrange(1, 4)))
        else:
            warehouse.release(*numbers, entity=entity)
        if chance.random() < 0.6:
            warehouse.bring()
            assert warehouse.rows("records_held_back_vw") == warehouse.expected()
    warehouse.bring()
    assert warehouse.rows("records_held_back_vw") == warehouse.expected()


def test_only_new_files_and_new_runs_are_read(warehouse: Trust, monkeypatch: pytest.MonkeyPatch) -> None:
    warehouse.reject(0, 1, 2)
    warehouse.ran("extract", "users", NOW)
    warehouse.bring()
    count, get, read = trust._count_reasons, type(warehouse.pipeline.silver.lake).get_json, []

    def counted(table: Any, task: Any) -> Any:
        read.append(task.file.record_count)
        return count(table, task)

    def got(lake: Any, key: str) -> Any:
        read.append(key)
        return get(lake, key)

    monkeypatch.setattr(trust, "_count_reasons", counted)
    monkeypatch.setattr(type(warehouse.pipeline.silver.lake), "get_json", got)
    warehouse.reject(3)
    later = warehouse.ran("extract", "users", NOW + timedelta(hours=1))
    warehouse.bring()
    assert read == [layout.run_key("extract", "users", later[-1], later[2]), 1]


def test_nothing_new_writes_nothing(warehouse: Trust) -> None:
    warehouse.reject(1, 2)
    warehouse.ran("load", "users", NOW)
    warehouse.bring()
    before = warehouse.transactions()
    warehouse.bring()
    assert warehouse.transactions() == before


def test_runs_in_any_order_end_in_the_newest_of_each(warehouse: Trust) -> None:
    long = warehouse.ran("transform", "sessions", NOW, minutes=90)
    lines = [
        warehouse.ran("transform", "sessions", NOW + timedelta(minutes=5)),
        warehouse.ran("load", "users", NOW, error="the words of a message", exit=3),
        warehouse.ran("model", "all", NOW, result={"nothing_new": True}),
    ]
    warehouse.bring()
    # What began before them is recorded when it ends.
    late = warehouse.ran("model", "all", NOW - timedelta(hours=3), minutes=240, error="lock", exit=75)
    warehouse.bring()
    assert warehouse.rows("last_runs_vw") == sorted([long, lines[1], late])
    assert [row[4:6] for row in warehouse.rows("last_runs_vw")] == [("refused", 3), ("transient", 75), ("done", 0)]


def test_the_last_load_and_the_last_check(warehouse: Trust) -> None:
    warehouse.ran("load", "users", NOW)
    warehouse.ran("load", "users", NOW + timedelta(hours=1), error="lock", exit=75)
    warehouse.bring()
    assert warehouse.rows("data_as_of_vw")[0][3:] == (NOW + timedelta(minutes=1), None, None)
    warehouse.ran("check", "songs", NOW)
    warehouse.ran("check", "users", NOW + timedelta(hours=2), error="sums differ", exit=1)
    warehouse.ran("check", "songs", NOW + timedelta(hours=3))
    warehouse.bring()
    # The songs' check, which came later, says nothing of the users.
    assert warehouse.rows("data_as_of_vw")[0][4:] == (NOW + timedelta(hours=3, minutes=1), False)
    warehouse.ran("check", "users", NOW + timedelta(hours=4))
    warehouse.bring()
    assert warehouse.rows("data_as_of_vw")[0][4:] == (NOW + timedelta(hours=4, minutes=1), True)


def test_old_runs_go_but_the_newest_of_their_kind(warehouse: Trust) -> None:
    for hour in range(3):
        warehouse.ran("load", "users", NOW + timedelta(hours=hour))
        warehouse.ran("load", "users", NOW + timedelta(hours=hour, minutes=30), error="lock", exit=75)
    warehouse.bring()
    later = NOW + DAY * (RUN_DAYS + 1)
    newest = warehouse.ran("load", "users", later)
    for _ in range(2):
        warehouse.bring(later.date())
        kept = warehouse.pipeline.warehouse.query(f"select started_at, exit_code from {bookkeeping.RUNS} order by 1")
        assert kept.rows == [(NOW + timedelta(hours=2, minutes=30), 75), (later, 0)]
    assert warehouse.rows("last_runs_vw") == [newest]


def test_two_at_once_bring_the_same_as_one(warehouse: Trust) -> None:
    for number in range(4):
        warehouse.reject(number, reasons=REASONS)
        warehouse.ran("load", "users", NOW + timedelta(minutes=number))
    failures: list[BaseException] = []

    def bring() -> None:
        try:
            warehouse.bring()
        except BaseException as error:  # noqa: BLE001 - told by the assertion below
            failures.append(error)

    threads = [threading.Thread(target=bring) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert warehouse.rows("records_held_back_vw") == warehouse.expected()
    assert warehouse.pipeline.warehouse.query(f"select count(*) from {bookkeeping.RUNS}").rows == [(4,)]


@pytest.mark.parametrize("failpoint", [Failpoint.LOAD_BEFORE_TRUST, Failpoint.LOAD_AFTER_TRUST])
def test_what_a_killed_run_left_is_brought_by_the_next(
    warehouse: Trust, monkeypatch: pytest.MonkeyPatch, failpoint: Failpoint
) -> None:
    warehouse.reject(1, 2)
    line = warehouse.ran("load", "users", NOW)

    def die(reached: Failpoint) -> None:
        if reached is failpoint:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(trust, "crash_point", die)
        with pytest.raises(KeyboardInterrupt):
            warehouse.bring()
    warehouse.bring()
    assert warehouse.rows("last_runs_vw") == [line]
    assert warehouse.rows("records_held_back_vw") == warehouse.expected()


def test_runs_are_told_where_the_quarantine_cannot_be_read(warehouse: Trust, monkeypatch: pytest.MonkeyPatch) -> None:
    warehouse.reject(1)
    line = warehouse.ran("load", "users", NOW)

    def refuse(*_: object) -> None:
        raise DeftunesError("S3 said 403")

    with monkeypatch.context() as patched:
        patched.setattr(trust, "_count_reasons", refuse)
        with pytest.raises(DeftunesError, match="403"):
            warehouse.bring()
    assert warehouse.rows("last_runs_vw") == [line]
    assert warehouse.rows("records_held_back_vw") == []


@pytest.mark.parametrize("lost", [bookkeeping.HELD_BACK, bookkeeping.LOADED, bookkeeping.RUNS])
def test_what_the_warehouse_lost_is_brought_anew(warehouse: Trust, lost: str) -> None:
    warehouse.reject(1, 2)
    line = warehouse.ran("load", "users", NOW)
    warehouse.bring()
    views = [f"{layout.BI_SCHEMA}.{view}" for view in layout.TRUST_VIEWS]
    (definitions,) = warehouse.pipeline.warehouse.query(
        "select " + ", ".join(f"pg_get_viewdef('{view}'::regclass)" for view in views)
    ).rows
    with warehouse.pipeline.warehouse.hold(exclusive=True) as session, session.transaction():
        session.run(f"drop table {lost} cascade")
    warehouse.bring()
    with warehouse.pipeline.warehouse.hold(exclusive=True) as session, session.transaction():
        for view, definition in zip(views, definitions, strict=True):
            session.run(f"create or replace view {view} as {definition}")
    assert warehouse.rows("last_runs_vw") == [line]
    assert warehouse.rows("records_held_back_vw") == warehouse.expected()


def test_a_board_of_this_moment_needs_no_model(warehouse: Trust) -> None:
    began = datetime.now(UTC)
    line = warehouse.ran("check", "songs", began)
    warehouse.bring(began.date())
    assert warehouse.rows("last_runs_vw") == [line]
