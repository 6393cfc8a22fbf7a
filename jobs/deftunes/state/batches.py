"""Batches: the landings in use that one run brings to `main`, named by what they are made of.

    landings in use + rules + what main holds  ->  batch id (a hash, never random)

So a run after a kill finds its own batch again, content that goes A, B, A is three batches, and "nothing new" means
that `main` holds these landings under these rules now. What main holds is known without reading rows: the newest
batch of main is named in its snapshot's summary, its manifest says which landings it brought, and for events a small
marker per day says the same of all earlier batches. Markers are written after main has moved; until then the
manifest of main's newest batch stands in for them, so no kill can come between.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from datetime import date
from itertools import takewhile
from typing import TYPE_CHECKING, Self

from deftunes.adapters.catalog import Refs, batch_id_of, writer_of
from deftunes.core import layout
from deftunes.core.entities import Entity
from deftunes.core.errors import DeftunesError, RetriableError
from deftunes.core.interval import ONE_DAY, Interval
from deftunes.state.landings import Landings, Receipt

if TYPE_CHECKING:
    from deftunes.adapters.lake import JsonObject, Lake

_HEAD = "head"
_THREADS = 16


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a batch is made of and what judging its records found. Written before its branch, then always the same."""

    entity: Entity
    batch_id: str
    interval: Interval
    landings: dict[str, str]  # unit -> landing folder
    rules: str
    parent: str | None
    days: tuple[date, ...] = ()  # events: the days whose rows the batch replaces
    joined: tuple[date, ...] = ()  # of these, the ones outside the interval
    shares: dict[str, list[str]] = field(default_factory=dict)  # day -> days that hold a session it holds too
    conflicts: int = 0  # keys with several different records in one landing
    received: int = 0
    rejected: int = 0
    released: tuple[str, ...] = ()  # records in quarantine that these rules accept

    def to_json(self) -> "JsonObject":
        """As stored."""
        return {
            **asdict(self),
            "interval": [self.interval.start.isoformat(), self.interval.end.isoformat()],
            "days": [day.isoformat() for day in self.days],
            "joined": [day.isoformat() for day in self.joined],
        }

    @classmethod
    def from_json(cls, value: "JsonObject") -> Self:
        """The inverse of `to_json`."""
        start, end = map(date.fromisoformat, value["interval"])
        return cls(
            **{
                **value,
                "entity": Entity(value["entity"]),
                "interval": Interval(start, end),
                "days": tuple(map(date.fromisoformat, value["days"])),
                "joined": tuple(map(date.fromisoformat, value["joined"])),
                "released": tuple(value["released"]),
            }
        )


@dataclass(frozen=True, slots=True)
class Batch:
    """One run's work for one entity. `pending` are the units that `main` does not hold; none: nothing new."""

    entity: Entity
    id: str
    interval: Interval
    landings: dict[str, Receipt]  # in use, by unit
    pending: tuple[str, ...]
    shared_days: frozenset[date]  # days that hold sessions which pending days, or these days themselves, held too
    rules: str
    base: int | None  # main's snapshot
    held: Manifest | None  # main's newest batch

    @property
    def branch(self) -> str:
        """The branch it is audited on."""
        return layout.branch(self.id)

    @property
    def is_published(self) -> bool:
        """Whether `main` holds all of it already."""
        return not self.pending


class NotPreparedError(RetriableError):
    """The stage before left nothing for this batch on today's `main`: it must run for it (again)."""


def plan_batch(lake: "Lake", refs: Refs, entity: Entity, interval: Interval, days: Sequence[date], rules: str) -> Batch:
    """The batch of `entity` for `days` of `interval` (a snapshot has no days), against what `main` holds now.

    Raises:
        DeftunesError: something asked for has not been landed.
    """
    landings = _landings_in_use(Landings(lake, entity), interval, days)
    held = held_manifest(lake, refs, entity)
    with ThreadPoolExecutor(_THREADS) as pool:
        markers = dict(zip(landings, pool.map(lambda unit: _marker(lake, entity, held, unit), landings), strict=True))
    pending = tuple(
        unit
        for unit, receipt in landings.items()
        if (markers[unit].get("landing"), markers[unit].get("rules")) != (receipt.key, rules)
    )
    shared = with_partners(lake, entity, held, (day for unit in pending for day in _shares(markers[unit])))
    parent = held.batch_id if held else None
    batch_id = identity(entity, interval, landings, rules, parent)
    return Batch(entity, batch_id, interval, landings, pending, shared, rules, refs.main, held)


def with_partners(lake: "Lake", entity: Entity, held: Manifest | None, days: Iterable[date]) -> frozenset[date]:
    """`days`, and every day that an earlier batch noted as sharing a session with one of them, until none is added.

    A day that joins a batch is noted anew by it: a partner that stayed out of the batch would be forgotten.
    """
    found: frozenset[date] = frozenset()
    added = frozenset(days)
    with ThreadPoolExecutor(_THREADS) as pool:
        while added:
            found |= added
            markers = pool.map(lambda day: _marker(lake, entity, held, layout.day_unit(day)), added)
            added = frozenset(day for marker in markers for day in _shares(marker)) - found
    return found


def as_begun(lake: "Lake", batch: Batch) -> Batch:
    """The batch with the landings and days that it was begun with, if it was begun before.

    Its id does not name the landings of days that join it, which may be others by now. What is published under one id
    must be what its manifest says, whoever wrote either.
    """
    begun = _manifest(lake, batch.entity, batch.id)
    if begun is None:
        return batch
    landings = Landings(lake, batch.entity)
    same = {receipt.key: receipt for receipt in batch.landings.values()}
    receipts = {unit: same.get(key) or landings.read(key) for unit, key in begun.landings.items()}
    return replace(
        batch,
        landings={**batch.landings, **receipts},
        pending=tuple(begun.landings),
        shared_days=frozenset(begun.days),
    )


def identity(entity: Entity, interval: Interval, landings: dict[str, Receipt], rules: str, parent: str | None) -> str:
    """The id of the batch that brings these landings under these rules to a `main` whose newest batch is `parent`."""
    digests = sorted((unit, receipt.digest) for unit, receipt in landings.items())
    return hashlib.sha256(json.dumps([entity, str(interval), digests, rules, parent]).encode()).hexdigest()[:16]


def written_ids(lake: "Lake", refs: Refs, batch: Batch) -> list[str]:
    """Batches of the same interval and rules that were written to a branch, with something that `main` still lacks.

    Such a batch is this one, or what it was called before `main` moved or another run landed a day of its interval.
    Its snapshot tells it, which outlives the branch: `settle` drops branches that can never be published.
    """
    on_main = {snapshot.snapshot_id for snapshot in refs.ancestors(refs.main)}
    snapshots = refs.table.metadata.snapshots if refs.table else ()
    aside = {batch_id_of(snapshot) for snapshot in snapshots if snapshot.snapshot_id not in on_main}
    manifests = [read_manifest(lake, batch.entity, batch_id) for batch_id in aside if batch_id]
    held = held_manifest(lake, refs, batch.entity)
    return [
        manifest.batch_id
        for manifest in manifests
        if (manifest.interval, manifest.rules) == (batch.interval, batch.rules)
        and any(_is_news(manifest, unit, _marker(lake, batch.entity, held, unit)) for unit in manifest.landings)
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


def held_manifest(lake: "Lake", refs: Refs, entity: Entity) -> Manifest | None:
    """The manifest of the newest batch that `main` holds."""
    batch_id = refs.batch_of(refs.main)
    return read_manifest(lake, entity, batch_id) if batch_id else None


def read_manifest(lake: "Lake", entity: Entity, batch_id: str) -> Manifest:
    """The manifest of a batch.

    Raises:
        DeftunesError: it is gone; the lake was changed by hand.
    """
    manifest = _manifest(lake, entity, batch_id)
    if manifest is None:
        raise DeftunesError(
            f"expected the manifest of batch {batch_id} at {lake.uri(layout.batch_key(entity, batch_id))}, found none: "
            "was the lake changed by hand? Restore the object (the bucket is versioned)"
        )
    return manifest


def write_manifest(lake: "Lake", manifest: Manifest) -> None:
    """Keep a batch's manifest: written again it says the same, but for `released`, which is what quarantine holds now.

    Raises:
        RetriableError: another run began this batch meanwhile with other landings of the days that join it.
    """
    begun = _manifest(lake, manifest.entity, manifest.batch_id) or manifest
    if (begun.landings, begun.days) != (manifest.landings, manifest.days):
        raise RetriableError(
            f"another run began batch {manifest.batch_id} of {manifest.entity} meanwhile with other landings; "
            "nothing was published"
        )
    lake.put_json(layout.batch_key(manifest.entity, manifest.batch_id), manifest.to_json())


def is_marked(lake: "Lake", manifest: Manifest) -> bool:
    """Whether the markers of this batch, main's newest, have all been written."""
    return lake.get_json(layout.published_key(manifest.entity, _HEAD)) == {"batch_id": manifest.batch_id}


def write_markers(lake: "Lake", manifest: Manifest) -> None:
    """Note for every unit what `main` holds now; the head marker last, so that a half-written set is written again."""

    def write(unit: str) -> None:
        lake.put_json(layout.published_key(manifest.entity, unit), _marker_of(manifest, unit))

    with ThreadPoolExecutor(_THREADS) as pool:
        list(pool.map(write, manifest.landings))
    lake.put_json(layout.published_key(manifest.entity, _HEAD), {"batch_id": manifest.batch_id})


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


def _manifest(lake: "Lake", entity: Entity, batch_id: str) -> Manifest | None:
    value = lake.get_json(layout.batch_key(entity, batch_id))
    return None if value is None else Manifest.from_json(value)


def _marker(lake: "Lake", entity: Entity, held: Manifest | None, unit: str) -> "JsonObject":
    if held and unit in held.landings:
        return _marker_of(held, unit)
    return lake.get_json(layout.published_key(entity, unit)) or {}


def _shares(marker: "JsonObject") -> list[date]:
    return [date.fromisoformat(day) for day in marker.get("shares", ())]


def _is_news(manifest: Manifest, unit: str, marker: "JsonObject") -> bool:
    """Whether a batch's landing of a unit is newer than the one that `main` holds, or was judged by other rules."""
    landing, held = manifest.landings[unit], str(marker.get("landing", ""))
    return landing > held or (landing == held and manifest.rules != marker["rules"])  # names sort by age


def _marker_of(manifest: Manifest, unit: str) -> "JsonObject":
    shares = {} if manifest.entity.is_snapshot else {"shares": manifest.shares.get(unit[:10], [])}
    return {
        "landing": manifest.landings[unit],
        "rules": manifest.rules,
        "batch_id": manifest.batch_id,
        **shares,
    }
