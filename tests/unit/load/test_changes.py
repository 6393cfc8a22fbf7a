"""What changed since the loaded snapshot, read from metadata alone."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import pytest
from pyiceberg.table.snapshots import Operation, Snapshot, Summary

from deftunes.core import layout
from deftunes.core.entities import Entity
from deftunes.core.errors import DeftunesError
from deftunes.core.interval import Interval
from deftunes.load.changes import changes_since
from deftunes.state.manifest import Manifest

Write = tuple[str | None, Operation] | tuple[str | None, Operation, str]


@dataclass
class FakeTable:
    """A chain of snapshots, oldest first: (batch id or None, operation)."""

    chain: list[Write]
    expired: int = 0  # the oldest ones are gone from the metadata
    metadata: Any = field(init=False)

    def __post_init__(self) -> None:
        self.metadata = self

    def current_snapshot(self) -> Snapshot | None:
        return self.snapshot_by_id(len(self.chain)) if self.chain else None

    def snapshot_by_id(self, number: int) -> Snapshot | None:
        if not self.expired < number <= len(self.chain):
            return None
        batch, operation, *writer = self.chain[number - 1]
        properties = {"batch_id": batch} if batch else {}
        properties |= {"app-id": writer[0]} if writer else {}
        return Snapshot(
            snapshot_id=number,
            parent_snapshot_id=number - 1 or None,
            sequence_number=number,
            timestamp_ms=number,
            manifest_list="",
            summary=Summary(operation, **properties),
        )


class FakeLake:
    """Manifests by batch id."""

    def __init__(self, days: dict[str, list[str]]) -> None:
        self.days = days

    def get_json(self, key: str) -> dict[str, Any] | None:
        for batch, days in self.days.items():
            if key == layout.batch_key(Entity.SESSIONS, batch):
                replaced = tuple(map(date.fromisoformat, days))
                asked = Interval(date(2020, 1, 1), date(2020, 1, 2))
                return Manifest(
                    entity=Entity.SESSIONS, batch_id=batch, interval=asked, landings={}, rules="", parent=None,
                    days=replaced,
                ).to_json()  # fmt: skip
        return None

    def uri(self, key: str) -> str:
        return key


LAKE = FakeLake({"a": ["2025-01-01"], "b": ["2025-01-02", "2025-01-05"], "c": ["2025-01-02"]})


def changes(chain: Iterable[Write], loaded: int | None, expired: int = 0) -> Any:
    return changes_since(FakeTable(list(chain), expired), loaded, Entity.SESSIONS, LAKE)  # type: ignore[arg-type]


A, B, C = (("a", Operation.APPEND), ("b", Operation.OVERWRITE), ("c", Operation.OVERWRITE))
COMPACTED = (None, Operation.REPLACE)
NO_BATCH = (None, Operation.APPEND)


def test_there_is_nothing_before_the_first_batch() -> None:
    assert changes([], None) is None


def test_there_is_nothing_new_at_the_loaded_head() -> None:
    assert changes([A, B], 2) is None


def test_the_first_load_is_of_everything() -> None:
    found = changes([A, B], None)
    assert (found.head, found.batch_id, found.everything) == (2, "b", True)


def test_days_of_all_batches_since_add_up() -> None:
    found = changes([A, B, C], 1)
    assert not found.everything
    assert found.batches == {"b", "c"}
    assert found.snapshots == {2, 3}
    assert found.days == {date(2025, 1, 2), date(2025, 1, 5)}


def test_a_compaction_changes_no_day() -> None:
    found = changes([A, B, COMPACTED], 2)
    assert not found.everything
    assert found.days == set()
    assert found.head == 3


def test_the_batch_is_the_newest_one_under_a_compaction() -> None:
    assert changes([A, B, COMPACTED], 1).batch_id == "b"


def test_after_a_write_without_a_batch_everything_is_loaded() -> None:
    assert changes([A, NO_BATCH, C], 1).everything
    assert changes([A, NO_BATCH], 1).everything


def test_a_merge_belongs_to_the_commit_with_a_batch_that_its_writer_makes_next() -> None:
    merge, named = (None, Operation.OVERWRITE, "app-1"), ("b", Operation.APPEND, "app-1")
    found = changes([A, merge, named], 1)
    assert not found.everything
    assert found.batches == {"b"}
    assert found.snapshots == {2, 3}
    assert changes([A, merge, ("b", Operation.APPEND, "app-2")], 1).everything
    assert changes([A, merge, COMPACTED, named], 1).everything


def test_compactions_alone_are_no_batch() -> None:
    found = changes([A, COMPACTED], 1)
    assert not found.everything
    assert not found.batches


@pytest.mark.parametrize("loaded", [7, 2])
def test_after_a_loaded_snapshot_that_is_no_ancestor_everything_is_loaded(loaded: int) -> None:
    assert changes([A, B, C, C], loaded, expired=2).everything


def test_a_lost_manifest_is_an_error_that_names_the_batch() -> None:
    with pytest.raises(DeftunesError, match="expected the manifest of batch lost"):
        changes([A, ("lost", Operation.APPEND)], 1)
