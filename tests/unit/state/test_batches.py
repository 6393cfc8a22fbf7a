"""A batch's identity and which of its landings are still pending, decided without reading a row."""

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from deftunes.adapters.catalog import BATCH_PROPERTY, Refs
from deftunes.core import layout
from deftunes.core.entities import Entity
from deftunes.core.errors import DeftunesError, RetriableError
from deftunes.core.interval import Interval
from deftunes.core.stages import RunWindow
from deftunes.state.batches import Batch, plan_batch, resume_batch, superseded_batches
from deftunes.state.landings import Draft, Landings
from deftunes.state.manifest import Manifest, write_manifest
from deftunes.state.markers import is_marked, write_markers
from support.lakes import MemoryLake

DAY = date(2020, 1, 5)
INTERVAL = Interval(DAY, date(2020, 1, 7))
DAYS = tuple(INTERVAL.days())
RULES = "r" * 16


@dataclass(frozen=True)
class Main(Refs):
    """A table whose main holds one batch, or nothing."""

    table: Any = None
    batch_id: str | None = None

    @property
    def main(self) -> int | None:
        return 1 if self.batch_id else None

    def batch_of(self, snapshot_id: int | None) -> str | None:
        return self.batch_id if snapshot_id else None


@pytest.fixture
def lake(tmp_path: Path) -> MemoryLake:
    lake = MemoryLake()
    for day in DAYS:
        land_day(lake, day, f"{day} A", tmp_path)
    return lake


def land_day(
    lake: MemoryLake,
    day: date,
    content: str,
    tmp_path: Path,
    hour: int = 0,
    year: int = 2020,
    believed_until: datetime | None = None,
) -> None:
    file = tmp_path / "part"
    file.write_text(content)
    digest = content.encode().hex().ljust(64, "0")[-64:]
    at = datetime(year, 2, 1, hour, tzinfo=UTC)
    draft = Draft(layout.day_unit(day), at, digest, 1, ((file, 1),))
    Landings(lake, Entity.SESSIONS).commit(draft, INTERVAL, believed_until=believed_until)


def planned(lake: MemoryLake, main: Refs | None = None, rules: str = RULES, days: tuple[date, ...] = DAYS) -> Batch:
    return plan_batch(lake, main or Main(), Entity.SESSIONS, RunWindow(INTERVAL, days), rules)


def publish_batch(
    lake: MemoryLake, batch: Batch, links: dict[str, list[str]] | None = None, *, mark: bool = True
) -> Refs:
    manifest = Manifest(
        entity=Entity.SESSIONS,
        batch_id=batch.id,
        interval=INTERVAL,
        landings={unit: batch.landings[unit].key for unit in batch.pending},
        rules=batch.rules,
        parent=batch.published.batch_id if batch.published else None,
        days=DAYS,
        links=links or {},
    )
    write_manifest(lake, manifest)
    if mark:
        write_markers(lake, manifest)
    return Main(batch_id=batch.id)


def test_the_same_landings_are_the_same_batch(lake: MemoryLake) -> None:
    assert planned(lake) == planned(lake)
    assert planned(lake).pending == tuple(layout.day_unit(day) for day in DAYS)


def test_other_rules_content_or_main_each_make_another_batch(lake: MemoryLake, tmp_path: Path) -> None:
    first = planned(lake)
    other_rules = planned(lake, rules="s" * 16)
    main = publish_batch(lake, first)
    land_day(lake, DAY, "B", tmp_path, hour=1)
    second = planned(lake, main)
    main = publish_batch(lake, second)
    land_day(lake, DAY, f"{DAY} A", tmp_path, hour=2)
    third = planned(lake, main)
    assert len({first.id, other_rules.id, second.id, third.id}) == 4
    assert third.landings[layout.day_unit(DAY)].digest == first.landings[layout.day_unit(DAY)].digest


@pytest.mark.parametrize("mark", [True, False], ids=["marked", "killed before its markers"])
def test_a_published_batch_leaves_nothing_new(lake: MemoryLake, *, mark: bool) -> None:
    assert planned(lake, publish_batch(lake, planned(lake), mark=mark)).is_published


def test_only_what_main_lacks_is_pending(lake: MemoryLake, tmp_path: Path) -> None:
    main = publish_batch(lake, planned(lake))
    land_day(lake, DAYS[1], "late sale", tmp_path, hour=1)
    assert planned(lake, main).pending == (layout.day_unit(DAYS[1]),)
    assert planned(lake, main, rules="s" * 16).pending == tuple(layout.day_unit(day) for day in DAYS)


def test_a_day_that_shares_a_session_is_linked_when_the_other_day_changes(lake: MemoryLake, tmp_path: Path) -> None:
    elsewhere = date(2019, 12, 1)
    main = publish_batch(lake, planned(lake), links={layout.day_unit(DAY): [elsewhere.isoformat()]})
    assert not planned(lake, main).linked_days
    land_day(lake, DAY, "moved back", tmp_path, hour=1)
    assert planned(lake, main).linked_days == {elsewhere}


def test_the_days_that_a_linked_day_shares_sessions_with_are_linked_too(lake: MemoryLake) -> None:
    chain = [DAYS[0], *(date(2019, 12, day) for day in (1, 2, 3))]
    for day, partner in pairwise(chain):
        lake.put_json(layout.published_key(Entity.SESSIONS, layout.day_unit(day)), {"shares": [partner.isoformat()]})
    assert planned(lake).linked_days == set(chain[1:])


def test_a_batch_begun_before_keeps_its_landings_and_days(lake: MemoryLake, tmp_path: Path) -> None:
    batch = planned(lake)
    assert resume_batch(lake, batch) == batch
    linked = date(2019, 12, 1)
    land_day(lake, linked, "as it was", tmp_path)
    landing = Landings(lake, Entity.SESSIONS).in_use(layout.day_unit(linked))
    assert landing
    manifest = Manifest(
        entity=Entity.SESSIONS,
        batch_id=batch.id,
        interval=INTERVAL,
        landings={
            layout.day_unit(linked): landing.key,
            **{unit: receipt.key for unit, receipt in batch.landings.items()},
        },
        rules=RULES,
        parent=None,
        days=(linked, *DAYS),
        linked_days=(linked,),
    )
    write_manifest(lake, manifest)
    land_day(lake, linked, "landed since", tmp_path, hour=1)
    begun = resume_batch(lake, batch)
    assert begun.landings == {**batch.landings, layout.day_unit(linked): landing}
    assert sorted(begun.pending) == sorted(manifest.landings)
    assert begun.linked_days == {linked, *DAYS}


@pytest.mark.parametrize("landed", ["newer", "after one that was withdrawn", "older", "the same"])
def test_a_written_batch_is_superseded_while_main_lacks_it(lake: MemoryLake, tmp_path: Path, landed: str) -> None:
    late = landed == "after one that was withdrawn"
    land_day(lake, DAY, "in main", tmp_path, hour=2, year=2060 if late else 2020)
    main = publish_batch(lake, planned(lake))
    if landed != "the same":
        believed_until = datetime(2021, 1, 1, tzinfo=UTC)
        land_day(lake, DAY, "written", tmp_path, hour=1 if landed == "older" else 3, believed_until=believed_until)
    written = replace(planned(lake, main), id="f" * 16, pending=(layout.day_unit(DAY),))
    publish_batch(lake, written, mark=False)
    summary = SimpleNamespace(additional_properties={BATCH_PROPERTY: written.id})
    table = SimpleNamespace(
        metadata=SimpleNamespace(
            snapshots=[SimpleNamespace(snapshot_id=2, summary=summary)], snapshot_by_id=lambda _: None
        )
    )
    superseded = superseded_batches(lake, Main(table=table, batch_id=main.batch_of(1)), written)
    assert superseded == ([written.id] if landed in {"newer", "after one that was withdrawn"} else [])


def test_a_manifest_is_never_replaced_by_one_of_other_landings_or_days(lake: MemoryLake) -> None:
    publish_batch(lake, planned(lake))
    (key,) = [key for key in lake.objects if key.startswith("batches/")]
    manifest = Manifest.from_json(lake.get_json(key) or {})
    before = lake.objects[key]
    unit = layout.day_unit(DAYS[0])
    for other in (replace(manifest, days=DAYS[:1]), replace(manifest, landings={**manifest.landings, unit: "other"})):
        with pytest.raises(RetriableError, match="meanwhile"):
            write_manifest(lake, other)
    assert lake.objects[key] == before
    write_manifest(lake, replace(manifest, released=("a",)))
    assert lake.objects[key] != before


def test_a_missing_landing_is_an_error_with_the_command_to_run(lake: MemoryLake) -> None:
    with pytest.raises(DeftunesError, match=r"first: 2020-01-09.*extract sessions --start 2020-01-09 --end 2020-01-10"):
        planned(lake, days=(*DAYS, date(2020, 1, 9)))
    with pytest.raises(DeftunesError, match="deftunes extract songs"):
        plan_batch(lake, Main(), Entity.SONGS, RunWindow(INTERVAL, ()), RULES)


def test_a_lost_manifest_is_an_error(lake: MemoryLake) -> None:
    with pytest.raises(DeftunesError, match="expected the manifest of batch"):
        planned(lake, Main(batch_id="f" * 16))


def test_the_head_marker_comes_last(lake: MemoryLake) -> None:
    batch = planned(lake)
    publish_batch(lake, batch)
    manifest = Manifest.from_json(lake.get_json(layout.batch_key(Entity.SESSIONS, batch.id)) or {})
    assert is_marked(lake, manifest)
    assert list(lake.objects)[-1] == layout.published_key(Entity.SESSIONS, "head")
