"""What changed in a silver table since the snapshot that the warehouse holds.

    main's head -> parent -> ... -> loaded snapshot        the batches between them, and what each replaced

Read from metadata and batch manifests alone, so it costs the change and not the table.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime

from pyiceberg.manifest import ManifestContent
from pyiceberg.table import FileScanTask, Table
from pyiceberg.table.snapshots import Operation, Snapshot

from deftunes.adapters.catalog import batch_id_of, writer_of
from deftunes.adapters.lake import Lake
from deftunes.core.entities import Entity
from deftunes.state.batches import Manifest, read_manifest
from deftunes.state.landings import Landings


@dataclass(frozen=True, slots=True)
class Changes:
    """From the loaded snapshot to `head`. `everything`: the loaded one is no ancestor, or there is none.

    `days` are the UTC days of sessions that were replaced, `instants` the `effective_from` of users that were.
    """

    head: int
    batch_id: str | None
    everything: bool
    snapshots: frozenset[int] = frozenset()
    batches: frozenset[str] = frozenset()
    days: frozenset[date] = frozenset()
    instants: frozenset[datetime] = frozenset()


def changes_since(table: Table, loaded: int | None, entity: Entity, lake: Lake) -> Changes | None:
    """The changes of `main` after `loaded`; None before the first batch and where nothing changed.

    Raises:
        DeftunesError: a batch has no manifest.
    """
    head = table.current_snapshot()
    if head is None or head.snapshot_id == loaded:
        return None
    newer: list[Snapshot] = []
    snapshot: Snapshot | None = head
    while snapshot is not None and snapshot.snapshot_id != loaded:
        newer.append(snapshot)
        parent = snapshot.parent_snapshot_id
        snapshot = None if parent is None else table.metadata.snapshot_by_id(parent)
    batch_id = next((batch for batch in map(batch_id_of, newer) if batch), None)
    if snapshot is None or any(_is_nobodys(newer, position) for position in range(len(newer))):
        return Changes(head.snapshot_id, batch_id, everything=True)
    batches = frozenset(batch for batch in map(batch_id_of, newer) if batch)
    manifests = [read_manifest(lake, entity, batch) for batch in sorted(batches)]
    return Changes(
        head.snapshot_id,
        batch_id,
        everything=False,
        snapshots=frozenset(each.snapshot_id for each in newer),
        batches=batches,
        days=frozenset(day for manifest in manifests for day in manifest.days),
        instants=frozenset(_instants(manifests, lake)) if entity is Entity.USERS else frozenset(),
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


def _is_nobodys(newer: list[Snapshot], position: int) -> bool:
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


def _instants(manifests: list[Manifest], lake: Lake) -> Iterator[datetime]:
    landings = Landings(lake, Entity.USERS)
    for manifest in manifests:
        for folder in manifest.landings.values():
            yield landings.read(folder).extracted_at
