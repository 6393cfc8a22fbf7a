"""Stage transform: landings in use -> validated rows on the batch's branch, rejected records in quarantine.

    plan -> validate rows -> quarantine -> manifest -> branch

Rerun-safe: the batch's id is a hash of what it is made of; a complete branch is left as it is, quarantine holds a
record once, a batch begun before is written from the landings its manifest names and the `main` it was planned on.
Nothing here moves `main`.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from typing import TYPE_CHECKING, Protocol

from deftunes.adapters.catalog import Refs, silver_table
from deftunes.core import layout
from deftunes.core.entities import Entity
from deftunes.core.failpoints import Failpoint, crash_point
from deftunes.core.records import decode
from deftunes.job import Job
from deftunes.resources import Resources
from deftunes.state import quarantine
from deftunes.state.batches import Batch, complete_head, records_of, resume_batch
from deftunes.state.landings import Receipt
from deftunes.state.manifest import Manifest, read_manifest, write_manifest
from deftunes.state.tables import ensure_tables
from deftunes.transform import sessions, songs, users
from deftunes.transform.branch import write_branch

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog

    from deftunes.adapters.lake import Lake
    from deftunes.core.engine import Engine
    from deftunes.core.rules import Ruleset
    from deftunes.resources import OpenEngine
    from deftunes.transform.work import Work


class _EntityTransform(Protocol):
    """What the module of each entity does."""

    def prepare(self, engine: "Engine", lake: "Lake", batch: Batch, rules: "Ruleset") -> "Work":
        """Validate what the batch's landings hold; nothing is written yet."""


_ENTITIES: dict[Entity, _EntityTransform] = {Entity.SONGS: songs, Entity.USERS: users, Entity.SESSIONS: sessions}


@dataclass(frozen=True, slots=True, kw_only=True)
class Transformed:
    """The outcome of the stage; `snapshot_id` is what quality audits."""

    entity: Entity
    batch_id: str
    snapshot_id: int
    received: int
    rejected: int
    quarantined: int  # of the rejected, new in quarantine
    unknown_fields: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def run(resources: Resources, job: Job) -> Transformed:
    """Run the stage."""
    batch = job.expect_batch()
    return transform(resources.open_engine, resources.lake, resources.catalog, batch, resources.rules(batch.entity))


def transform(
    open_engine: "OpenEngine", lake: "Lake", catalog: "Catalog", batch: Batch, rules: "Ruleset"
) -> Transformed:
    """Write one batch that `main` does not hold to its branch. Opens an engine only if the branch is not complete.

    Raises:
        NotCompiledError: the engine cannot judge by one of the rules; nothing was written.
        RetriableError: another run came between; nothing was published.
    """
    head = complete_head(Refs(silver_table(catalog, batch.entity)), batch)
    if head is not None:
        return _outcome(read_manifest(lake, batch.entity, batch.id), head, quarantined=0)
    batch = resume_batch(lake, batch)
    with open_engine(records_of(batch)) as engine:
        engine.expect_rules(rules)
        ensure_tables(catalog)
        work = _ENTITIES[batch.entity].prepare(engine, lake, batch, rules)
        quarantined = quarantine.add(catalog, _rejected_rows(catalog, batch, work))
        crash_point(Failpoint.TRANSFORM_AFTER_QUARANTINE)
        manifest = _manifest(catalog, batch, work)
        write_manifest(lake, manifest)
        head = write_branch(engine, catalog, batch, work)
    outcome = _outcome(manifest, head, quarantined=quarantined)
    return replace(outcome, unknown_fields=work.validation.unknown_fields, notes=work.notes)


def _outcome(manifest: Manifest, head: int, *, quarantined: int) -> Transformed:
    return Transformed(
        entity=manifest.entity,
        batch_id=manifest.batch_id,
        snapshot_id=head,
        received=manifest.received,
        rejected=manifest.rejected,
        quarantined=quarantined,
    )


def _manifest(catalog: "Catalog", batch: Batch, work: "Work") -> Manifest:
    validation = work.validation
    return Manifest(
        entity=batch.entity,
        batch_id=batch.id,
        interval=batch.interval,
        landings={receipt.unit: receipt.key for receipt in work.receipts},
        rules=batch.rules,
        parent=batch.published.batch_id if batch.published else None,
        days=work.days,
        linked_days=tuple(day for day in work.days if day not in batch.interval),
        links=work.links,
        conflicting=validation.conflicting,
        received=validation.received,
        rejected=validation.rejected,
        records_rejected=validation.records_rejected,
        source_rows=validation.source_rows,
        released=_released(catalog, batch.entity, work),
        mended=work.mended,
    )


def _rejected_rows(catalog: "Catalog", batch: Batch, work: "Work") -> Iterator[quarantine.Rejected]:
    receipts = {receipt.key: receipt for receipt in work.receipts}
    # A song's text is written by us, and releases have written the same song in different texts.
    known = _quarantined(catalog, Entity.SONGS) if batch.entity is Entity.SONGS and work.validation.rejected else {}
    for rejected in work.validation.read_rejected():
        receipt = receipts[rejected.landing]
        yield quarantine.Rejected(
            entity=batch.entity,
            record_sha256=known.get(quarantine.identity(batch.entity, rejected.record)) or _digest(rejected.record),
            batch_id=batch.id,
            reasons=rejected.reasons,
            record=rejected.record,
            source=receipt.key,
            day=_day_of(receipt),
            ingested_at=receipt.extracted_at,
        )


def _quarantined(catalog: "Catalog", entity: Entity) -> dict[bytes, str]:
    """The keys in quarantine by the identity of their records."""
    listed = quarantine.listed(catalog, entity, fields=("record_sha256", "record"))
    return {quarantine.identity(entity, row["record"]): row["record_sha256"] for row in listed}


def _released(catalog: "Catalog", entity: Entity, work: "Work") -> tuple[str, ...]:
    """Records in quarantine that this batch accepts; they leave it once the batch is published."""
    days = None if entity.is_snapshot else work.days
    listed = list(quarantine.listed(catalog, entity, days, fields=("record_sha256", "record")))
    keys = sorted({key for key in (_key_of(entity, row["record"]) for row in listed) if key})
    if not keys:
        return ()
    accepted = {quarantine.identity(entity, record) for record in work.validation.read_accepted(keys)}
    released = (row["record_sha256"] for row in listed if quarantine.identity(entity, row["record"]) in accepted)
    return tuple(sorted(released))


def _digest(record: str) -> str:
    return hashlib.sha256(record.encode()).hexdigest()


def _key_of(entity: Entity, record: str) -> str | None:
    try:
        key = decode(record).get(entity.declaration.record_key)
    except (AttributeError, ValueError, RecursionError):  # no object, or no JSON at all
        return None
    return key if isinstance(key, str) else None


def _day_of(receipt: Receipt) -> date | None:
    dated = not receipt.entity.is_snapshot and layout.is_dated(receipt.unit)
    return layout.day_of_unit(receipt.unit) if dated else None
