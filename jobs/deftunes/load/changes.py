"""What changed in a silver table since the snapshot that the warehouse holds.

    main's head -> parent -> ... -> loaded snapshot        the batches between them, and what each replaced

Read from metadata and batch manifests alone, so it costs the change and not the table.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property

from pyiceberg.manifest import ManifestContent
from pyiceberg.table import FileScanTask, Table
from pyiceberg.table.snapshots import Operation, Snapshot

from deftunes.adapters.catalog import batch_id_of, writer_of
from deftunes.adapters.lake import Lake
from deftunes.core import layout
from deftunes.core.entities import Entity
from deftunes.state.manifest import Manifest, read_manifest


@dataclass(frozen=True, kw_only=True)
class Changes:
    """From the loaded snapshot to `head`. `everything`: the loaded one is no ancestor, or there is none."""

    head: int
    batch_id: str | None
    everything: bool
    snapshots: frozenset[int] = frozenset()
    manifests: tuple[Manifest, ...] = ()

    @cached_property
    def batches(self) -> frozenset[str]:
        """The ids of the batches."""
        return frozenset(manifest.batch_id for manifest in self.manifests)

    @cached_property
    def days(self) -> frozenset[date]:
        """The UTC days of events that were replaced."""
        return frozenset(day for manifest in self.manifests for day in manifest.days)

    @cached_property
    def instants(self) -> frozenset[datetime]:
        """When the sources said what was landed, by their own clock, and what was removed of earlier landings."""
        mended = (instant for manifest in self.manifests for instant in manifest.mended)
        return frozenset((*map(layout.instant_of_landing, self._landings), *mended))

    @property
    def _landings(self) -> Iterator[str]:
        return (folder for manifest in self.manifests for folder in manifest.landings.values())


def changes_since(table: Table, loaded: int | None, entity: Entity, lake: Lake) -> Changes | None:
    """The changes of `main` after `loaded`; None before the first batch and where nothing changed.

    Raises:
        DeftunesError: a batch has no manifest.
    """
    head = table.current_snapshot()
    if head is None or head.snapshot_id == loaded:
        return None
    newer, reaches_loaded = _snapshots_after(table, head, loaded)
    ids = list(map(batch_id_of, newer))
    newest = next(filter(None, ids), None)
    if not reaches_loaded or any(_is_unattributed(newer, position) for position in range(len(newer))):
        return Changes(head=head.snapshot_id, batch_id=newest, everything=True)
    return Changes(
        head=head.snapshot_id,
        batch_id=newest,
        everything=False,
        snapshots=frozenset(each.snapshot_id for each in newer),
        manifests=tuple(read_manifest(lake, entity, batch_id) for batch_id in sorted(set(filter(None, ids)))),
    )


def new_files(table: Table, changes: Changes) -> Iterator[FileScanTask]:
    """The data files that the changes wrote: the only ones that can hold their rows."""
    head = table.metadata.snapshot_by_id(changes.head)
    assert head is not None
    written = {
        entry.data_file.file_path
        for manifest in head.manifests(table.io)
        # A manifest older than the changes cannot name their files; a merged one is new and names old files too.
        if manifest.content == ManifestContent.DATA and manifest.added_snapshot_id in changes.snapshots
        for entry in manifest.fetch_manifest_entry(table.io, discard_deleted=True)
        if entry.snapshot_id in changes.snapshots
    }
    return (task for task in table.scan().plan_files() if task.file.file_path in written)


def _snapshots_after(table: Table, head: Snapshot, loaded: int | None) -> tuple[list[Snapshot], bool]:
    """The snapshots from `head` back to `loaded`, newest first without it, and whether it is an ancestor."""
    newer: list[Snapshot] = []
    snapshot: Snapshot | None = head
    while snapshot is not None and snapshot.snapshot_id != loaded:
        newer.append(snapshot)
        parent = snapshot.parent_snapshot_id
        snapshot = None if parent is None else table.metadata.snapshot_by_id(parent)
    return newer, snapshot is not None


def _is_unattributed(newer: list[Snapshot], position: int) -> bool:
    """Whether a snapshot belongs to no batch, so that nothing is known of what it changed.

    A compaction moves rows and changes none. A batch of songs is a MERGE, and one that replaces users begins with a
    DELETE, which cannot carry a name; the named commit is what the same writer made right after it: the snapshot before
    it in `newer`, newest first.
    """
    snapshot = newer[position]
    if batch_id_of(snapshot) or _is_compaction(snapshot):
        return False
    after, writer = newer[position - 1] if position else None, writer_of(snapshot)
    return after is None or writer is None or batch_id_of(after) is None or writer_of(after) != writer


def _is_compaction(snapshot: Snapshot) -> bool:
    return snapshot.summary is not None and snapshot.summary.operation is Operation.REPLACE
