"""Stage transform: landings in use -> judged rows on the batch's branch, rejected records in quarantine.

    plan -> judge rows -> quarantine -> manifest -> branch

Rerun-safe: the batch's id is a hash of what it is made of; a complete branch is left as it is, quarantine holds a
record once, a batch begun before is written from the landings its manifest names and the `main` it was planned on.
Nothing here moves `main`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING

from pyspark.sql import functions as F  # noqa: N812 - the name every Spark reader knows

from deftunes.adapters.catalog import Refs, silver_table
from deftunes.core import layout
from deftunes.core.entities import Entity
from deftunes.core.failpoints import Failpoint, reach
from deftunes.core.interval import ONE_DAY, Interval
from deftunes.core.records import decode
from deftunes.state import quarantine
from deftunes.state.batches import (
    Batch,
    Manifest,
    as_begun,
    complete_head,
    read_manifest,
    with_partners,
    write_manifest,
)
from deftunes.state.landings import Landings, Receipt
from deftunes.transform import sessions, songs, users
from deftunes.transform.branch import ensure_tables, main_before, write_branch, writer_of
from deftunes.transform.frames import kept

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog
    from pyspark.sql import SparkSession

    from deftunes.adapters.lake import Lake
    from deftunes.core.rules import Ruleset
    from deftunes.transform.frames import Judgement

Write = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Transformed:
    """The outcome of the stage; `snapshot_id` is what quality audits."""

    entity: Entity
    batch_id: str
    snapshot_id: int
    received: int
    rejected: int
    quarantined: int  # of the rejected, new in quarantine
    unknown_fields: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Work:
    """One entity's part: what was judged, how its rows are written, and which landings that was."""

    judged: "Judgement"
    receipts: tuple[Receipt, ...]
    write: Write
    days: tuple[date, ...] = ()
    shares: dict[str, list[str]] = field(default_factory=dict)


def transform(
    open_spark: Callable[[], "SparkSession"], lake: "Lake", catalog: "Catalog", batch: Batch, rules: "Ruleset"
) -> Transformed:
    """Write one batch that `main` does not hold to its branch. Starts Spark only if the branch is not complete.

    Raises:
        RetriableError: another run came between; nothing was published.
    """
    head = complete_head(Refs(silver_table(catalog, batch.entity)), batch)
    if head is not None:
        manifest = read_manifest(lake, batch.entity, batch.id)
        return Transformed(batch.entity, batch.id, head, manifest.received, manifest.rejected, 0)
    batch = as_begun(lake, batch)
    spark = open_spark()
    ensure_tables(spark, catalog)
    try:
        work = _WORK[batch.entity](spark, lake, batch, rules)
        judged = work.judged
        added = quarantine.add(catalog, _rejected_rows(batch, work))
        reach(Failpoint.TRANSFORM_AFTER_QUARANTINE)
        manifest = Manifest(
            entity=batch.entity,
            batch_id=batch.id,
            interval=batch.interval,
            landings={receipt.unit: receipt.key for receipt in work.receipts},
            rules=batch.rules,
            parent=batch.held.batch_id if batch.held else None,
            days=work.days,
            joined=tuple(day for day in work.days if day not in batch.interval),
            shares=work.shares,
            conflicts=judged.conflicts,
            received=judged.received,
            rejected=judged.rejected_count,
            released=_released(catalog, batch.entity, work),
        )
        write_manifest(lake, manifest)
        head = write_branch(spark, catalog, batch, work.write)
    finally:
        spark.catalog.clearCache()
    return Transformed(
        batch.entity, batch.id, head, judged.received, judged.rejected_count, added, judged.unknown_fields
    )


def _sessions(spark: "SparkSession", lake: "Lake", batch: Batch, rules: "Ruleset") -> _Work:
    placed = {unit for unit in batch.pending if layout.is_placed(unit)}
    days = frozenset(map(layout.day_of_unit, placed)) | batch.shared_days
    # Records without a readable time belong to no day: they only go to quarantine.
    unplaced = tuple(batch.landings[unit] for unit in batch.pending if unit not in placed)
    main = main_before(spark, batch)
    while True:
        receipts = (*_receipts_of(lake, batch, days), *unplaced)
        parsed = sessions.parse(spark, lake, receipts)
        displaced = sessions.displaced_days(parsed, main, days) if days and batch.base is not None else frozenset()
        if not displaced:
            break
        # Their sessions turned up on these days: the old days are read again and decide together with the new ones.
        parsed.unpersist()
        days |= with_partners(lake, batch.entity, batch.held, displaced)
    judged = sessions.judge(parsed, rules)

    def write(target: str) -> None:
        writer = writer_of(sessions.silver_rows(judged, batch.id), target, batch)
        if days:
            writer.overwrite(sessions.within(days))
        else:
            writer.append()

    return _Work(judged, receipts, write, tuple(sorted(days)), sessions.shared_days(parsed) if len(days) > 1 else {})


def _users(spark: "SparkSession", lake: "Lake", batch: Batch, rules: "Ruleset") -> _Work:
    receipt = batch.landings[layout.SNAPSHOT]
    judged = users.judge(spark, lake, receipt, rules)
    main = main_before(spark, batch)

    def write(target: str) -> None:
        versions = users.new_versions(judged.rows, main, receipt.extracted_at, batch.id)
        # Judged again under other rules, a landing replaces its own versions and no others. By row, and so before the
        # commit that can carry the batch's id: an overwrite drops whole files, and a compaction mixes instants in one.
        if not main.where(F.col("effective_from") == F.lit(receipt.extracted_at)).isEmpty():
            statement = f"DELETE FROM {target} WHERE effective_from = :instant"  # noqa: S608 - a name we made
            spark.sql(statement, {"instant": receipt.extracted_at})
        writer_of(versions, target, batch).append()

    return _Work(judged, (receipt,), write)


def _songs(spark: "SparkSession", lake: "Lake", batch: Batch, rules: "Ruleset") -> _Work:
    newest = batch.landings[layout.SNAPSHOT]
    chain = songs.chain_since(Landings(lake, Entity.SONGS), newest, batch.held, batch.rules)
    judged = songs.judge(spark, lake, chain, rules)
    main = main_before(spark, batch)

    def write(target: str) -> None:
        rows = songs.changes(judged.rows, main, songs.live_keys(spark, lake, chain), newest.extracted_at, batch.id)
        if batch.base is not None:
            rows = kept(rows)
            if not rows.isEmpty():
                rows.createOrReplaceTempView("changes")
                spark.sql(
                    f"MERGE INTO {target} t USING changes c ON t.track_id = c.track_id "
                    "WHEN MATCHED THEN UPDATE SET * WHEN NOT MATCHED THEN INSERT *"
                )
            rows = rows.limit(0)  # MERGE cannot carry the batch's id, so an empty append after it does
        writer_of(rows, target, batch).append()

    return _Work(judged, tuple(chain), write)


_WORK = {Entity.SONGS: _songs, Entity.USERS: _users, Entity.SESSIONS: _sessions}
# The field of a landed record that names what it is about, as the source spells it.
_KEYS = {Entity.SONGS: "track_id", Entity.USERS: "user_id", Entity.SESSIONS: "session_id"}


def _receipts_of(lake: "Lake", batch: Batch, days: frozenset[date]) -> tuple[Receipt, ...]:
    """The batch's own landings of these days; of days that join it, the ones in use."""
    found = batch.landings
    joining = sorted(day for day in days if layout.day_unit(day) not in found)
    if joining:
        interval = Interval(joining[0], joining[-1] + ONE_DAY)
        found = {**Landings(lake, batch.entity).in_use_between(interval), **found}
    return tuple(found[unit] for unit in map(layout.day_unit, sorted(days)) if unit in found)


def _rejected_rows(batch: Batch, work: _Work) -> Iterator[quarantine.Rejected]:
    receipts = {receipt.key: receipt for receipt in work.receipts}
    # Few partitions: each is a job of its own. One at a time is in memory.
    rejected = work.judged.rejected.coalesce(2).toLocalIterator() if work.judged.rejected else ()
    for row in rejected:
        receipt = receipts[row["landing"]]
        yield quarantine.Rejected(
            entity=batch.entity,
            record_sha256=row["record_sha256"],
            batch_id=batch.id,
            reasons=tuple(row["reasons"]),
            record=row["record"],
            source=receipt.key,
            day=_day_of(receipt),
            ingested_at=receipt.extracted_at,
        )


def _released(catalog: "Catalog", entity: Entity, work: _Work) -> tuple[str, ...]:
    """Records in quarantine that this batch accepts; they leave it once the batch is published."""
    days = None if entity.is_snapshot else work.days
    listed = quarantine.listed(catalog, entity, days, fields=("record_sha256", "record"))
    held_back = {row["record_sha256"]: row["record"] for row in listed}
    if not held_back:
        return ()
    names = [(key,) for key in {_key_of(entity, record) for record in held_back.values()} if key]
    if not names:
        return ()
    candidates = work.judged.accepted.join(
        F.broadcast(work.judged.accepted.sparkSession.createDataFrame(names, "key string")), "key", "left_semi"
    )
    accepted = {row[0] for row in candidates.select("record_sha256").distinct().collect()}
    return tuple(sorted(accepted & held_back.keys()))


def _key_of(entity: Entity, record: str) -> str | None:
    try:
        key = decode(record).get(_KEYS[entity])
    except (AttributeError, ValueError, RecursionError):  # no object, or no JSON at all
        return None
    return key if isinstance(key, str) else None


def _day_of(receipt: Receipt) -> date | None:
    placed = not receipt.entity.is_snapshot and layout.is_placed(receipt.unit)
    return layout.day_of_unit(receipt.unit) if placed else None
