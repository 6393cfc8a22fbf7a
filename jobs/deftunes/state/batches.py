"""Batches: the landings in use that one run publishes for one entity, named by what they are made of.

    landings in use + rules + what main holds  ->  batch id (a hash, never random)

So a run after a kill finds its own batch again, content that goes A, B, A is three batches, and "nothing new" means
that `main` holds these landings under these rules now. What main holds is known without reading rows: the newest
batch of main is named in its snapshot's summary, its manifest says which landings it published, and markers say the
same of all earlier batches.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from itertools import takewhile
from typing import TYPE_CHECKING

from deftunes.adapters.catalog import Refs, batch_id_of, writer_of
from deftunes.core import layout
from deftunes.core.entities import Entity
from deftunes.core.errors import DeftunesError
from deftunes.core.interval import ONE_DAY, Interval
from deftunes.core.stages import RunWindow
from deftunes.state.landings import Landings, Receipt
from deftunes.state.manifest import Manifest, find_manifest, published_manifest, read_manifest
from deftunes.state.markers import Marker, linked_days, read_markers

if TYPE_CHECKING:
    from deftunes.adapters.lake import Lake


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """One run's work for one entity. `pending` are the units that `main` does not hold; none: nothing new."""

    entity: Entity
    id: str
    interval: Interval
    landings: dict[str, Receipt]  # in use, by unit
    pending: tuple[str, ...]
    linked_days: frozenset[date]  # days that hold sessions which pending days, or these days themselves, had, too
    rules: str
    base: int | None  # main's snapshot
    published: Manifest | None  # main's newest batch

    @property
    def branch(self) -> str:
        """The branch it is audited on."""
        return layout.branch(self.id)

    @property
    def is_published(self) -> bool:
        """Whether `main` holds all of it already."""
        return not self.pending


def plan_batch(lake: "Lake", refs: Refs, entity: Entity, window: RunWindow, rules: str) -> Batch:
    """Plan the batch of `entity` for a window's days (a snapshot has none), against what `main` holds now.

    Raises:
        DeftunesError: something asked for has not been landed.
    """
    landings = _landings_in_use(Landings(lake, entity), window.interval, window.days)
    published = published_manifest(lake, refs, entity)
    markers = read_markers(lake, entity, published, landings)
    pending = tuple(
        unit
        for unit, receipt in landings.items()
        if (markers[unit].landing, markers[unit].rules) != (receipt.key, rules)
    )
    parent = published.batch_id if published else None
    return Batch(
        entity=entity,
        id=make_batch_id(entity, window.interval, landings, rules, parent),
        interval=window.interval,
        landings=landings,
        pending=pending,
        linked_days=linked_days(lake, entity, published, (day for unit in pending for day in markers[unit].links)),
        rules=rules,
        base=refs.main,
        published=published,
    )


def make_batch_id(
    entity: Entity, interval: Interval, landings: dict[str, Receipt], rules: str, parent: str | None
) -> str:
    """The id of the batch of these landings under these rules, for a `main` whose newest batch is `parent`."""
    digests = sorted((unit, receipt.digest) for unit, receipt in landings.items())
    return hashlib.sha256(json.dumps([entity, str(interval), digests, rules, parent]).encode()).hexdigest()[:16]


def resume_batch(lake: "Lake", batch: Batch) -> Batch:
    """The batch with the landings and days that it was begun with, if it was begun before.

    Its id does not name the landings of its linked days, which may be others by now. What is published under one id
    must be what its manifest says, whoever wrote either.
    """
    begun = find_manifest(lake, batch.entity, batch.id)
    if begun is None:
        return batch
    landings = Landings(lake, batch.entity)
    same = {receipt.key: receipt for receipt in batch.landings.values()}
    receipts = {unit: same.get(key) or landings.read(key) for unit, key in begun.landings.items()}
    return replace(
        batch,
        landings={**batch.landings, **receipts},
        pending=tuple(begun.landings),
        linked_days=frozenset(begun.days),
    )


def records_of(batch: Batch) -> int:
    """How many records the batch's landings hold, as their receipts say; days linked with its own not included."""
    return sum(batch.landings[unit].rows for unit in batch.pending)


def superseded_batches(lake: "Lake", refs: Refs, batch: Batch) -> list[str]:
    """Batches of the same interval and rules that were written to a branch, with something that `main` still lacks.

    Such a batch is this one, or what it was called before `main` moved or another run landed a day of its interval.
    Its snapshot tells it, which outlives the branch: publishing drops branches that can never be published.
    """
    on_main = {snapshot.snapshot_id for snapshot in refs.ancestors(refs.main)}
    snapshots = refs.table.metadata.snapshots if refs.table else ()
    unpublished = {batch_id_of(snapshot) for snapshot in snapshots if snapshot.snapshot_id not in on_main}
    manifests = [read_manifest(lake, batch.entity, batch_id) for batch_id in unpublished if batch_id]
    published = published_manifest(lake, refs, batch.entity)
    landings = Landings(lake, batch.entity)
    return [
        manifest.batch_id
        for manifest in manifests
        if (manifest.interval, manifest.rules) == (batch.interval, batch.rules)
        and any(
            _is_newer(landings, manifest, unit, marker)
            for unit, marker in read_markers(lake, batch.entity, published, manifest.landings).items()
        )
    ]


def complete_head(refs: Refs, batch: Batch) -> int | None:
    """The head of the batch's branch, or None unless it is complete and begins at main as it was planned."""
    head = refs.head(batch.branch)
    chain = list(takewhile(lambda snapshot: snapshot.snapshot_id != batch.base, refs.ancestors(head)))
    if not chain:
        return None
    begins_at_base = chain[-1].parent_snapshot_id == batch.base
    by_one_writer = len(set(map(writer_of, chain))) == 1
    return head if begins_at_base and by_one_writer and batch_id_of(chain[0]) == batch.id else None


def _landings_in_use(landings: Landings, interval: Interval, days: Sequence[date]) -> dict[str, Receipt]:
    entity = landings.entity
    if entity.is_snapshot:
        receipt = landings.in_use(layout.SNAPSHOT)
        if receipt is None:
            raise DeftunesError(
                f"expected a landing of {entity}, found none; run: "
                f"deftunes extract {entity} --start {interval.start} --end {interval.end}"
            )
        return {layout.SNAPSHOT: receipt}
    wanted = frozenset(days)
    found = {
        unit: receipt
        for unit, receipt in landings.in_use_between(interval).items()
        if layout.day_of_unit(unit) in wanted
    }
    missing = sorted(day for day in wanted if layout.day_unit(day) not in found)
    if missing:
        raise DeftunesError(
            f"expected a landing of {entity} for each day of {interval}, found none for {len(missing)} of them "
            f"(first: {missing[0]}); run: deftunes extract {entity} --start {missing[0]} --end {missing[-1] + ONE_DAY}"
        )
    return found


def _is_newer(landings: Landings, manifest: Manifest, unit: str, marker: Marker) -> bool:
    """Whether a batch's landing of a unit is newer than what `main` holds, or was validated by other rules."""
    landing = manifest.landings[unit]
    if landing == marker.landing:
        return manifest.rules != marker.rules
    # Folders sort by age. What follows on a landing that was dated in the future is dated before it.
    return landing > marker.landing or marker.landing in landings.withdrawn(unit)
