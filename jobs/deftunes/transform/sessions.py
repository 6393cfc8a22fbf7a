"""Sessions: landed days -> items, typed and validated; a batch replaces exactly its days.

    lines -> conform -> collapse identical -> conflicts -> session rules -> newest day wins -> item rules

A session that turns up under another day belongs to its newest extraction; every day that holds it is in the same
batch, so the old day loses it in the same commit. That makes the outcome independent of the order of runs.
"""

from datetime import date
from typing import TYPE_CHECKING

from pyspark.sql import Window
from pyspark.sql import functions as F

from deftunes.adapters.deequ import failed_rules
from deftunes.core import layout
from deftunes.core.entities import Entity
from deftunes.core.interval import ONE_DAY, Interval, midnight, runs_of
from deftunes.state.landings import Landings
from deftunes.state.markers import linked_days
from deftunes.state.schema import TABLES
from deftunes.transform.branch import batch_writer, main_before
from deftunes.transform.conform import item_records, session_rows
from deftunes.transform.frames import (
    Validation,
    accepted_records,
    cached,
    landed_records,
    reason_if,
    reasons,
    rejected_records,
)
from deftunes.transform.work import Work

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyspark.sql import Column, DataFrame, SparkSession

    from deftunes.adapters.lake import Lake
    from deftunes.core.rules import Ruleset
    from deftunes.state.batches import Batch
    from deftunes.state.landings import Receipt

_DECLARED = Entity.SESSIONS.declaration
_ITEM_COLUMNS = {column.name: column.type for column in _DECLARED.columns if column.of_item}
_SESSION_COLUMNS = {column.name: column.type for column in _DECLARED.columns if not column.of_item}
_COLUMNS = {
    "digest": "binary",
    "record": "string",  # of the session's own row only
    "item_count": "int",
    "unknown": "array<string>",
    "problems": "array<string>",
    **_SESSION_COLUMNS,
    **_ITEM_COLUMNS,
}


def prepare(spark: "SparkSession", lake: "Lake", batch: "Batch", rules: "Ruleset") -> Work:
    """The items of the batch's days, and of the days linked with them."""
    dated = {unit for unit in batch.pending if layout.is_dated(unit)}
    days = frozenset(map(layout.day_of_unit, dated)) | batch.linked_days
    # Records without a readable time belong to no day: they only go to quarantine.
    undated = tuple(batch.landings[unit] for unit in batch.pending if unit not in dated)
    main = main_before(spark, batch)
    while True:
        receipts = (*_receipts_of(lake, batch, days), *undated)
        parsed = parse(spark, lake, receipts)
        added = newly_linked_days(parsed, main, days) if days and batch.base is not None else frozenset()
        if not added:
            break
        # Their sessions turned up on these days: the old days are read again and decide together with the new ones.
        parsed.unpersist()
        days |= linked_days(lake, batch.entity, batch.published, added)
    validation = validate(parsed, rules)

    def write(target: str) -> None:
        writer = batch_writer(silver_rows(validation, batch.id), target, batch)
        if days:
            writer.overwrite(within(days))
        else:
            writer.append()

    return Work(
        validation=validation,
        receipts=receipts,
        write=write,
        days=tuple(sorted(days)),
        links=links_between_days(parsed) if len(days) > 1 else {},
    )


def _receipts_of(lake: "Lake", batch: "Batch", days: frozenset[date]) -> "tuple[Receipt, ...]":
    """The batch's own landings of these days; of days linked with them, the ones in use."""
    found = batch.landings
    linked = sorted(day for day in days if layout.day_unit(day) not in found)
    if linked:
        interval = Interval(linked[0], linked[-1] + ONE_DAY)
        found = {**Landings(lake, batch.entity).in_use_between(interval), **found}
    return tuple(found[unit] for unit in map(layout.day_unit, sorted(days)) if unit in found)


def parse(spark: "SparkSession", lake: "Lake", receipts: "Iterable[Receipt]") -> "DataFrame":
    """One row per session (item_number NULL) and one per item, identical records of one landing collapsed."""
    records = landed_records(spark, lake, receipts, session_rows, _COLUMNS)
    return cached(records.dropDuplicates(["unit", "digest", "item_number"]))


def validate(parsed: "DataFrame", rules: "Ruleset") -> Validation:
    """Accept or reject every session, then every item of the accepted ones."""
    of_sessions = _texts(rules.row_rules(_SESSION_COLUMNS))
    # One evaluation for both kinds of row; what a rule says of a row without its columns is left aside.
    validated = failed_rules(parsed, rules.row_rules(_COLUMNS), "failed")
    sessions = _validate_sessions(validated, of_sessions)
    return _validation(sessions, _validate_items(validated, _newest(sessions), of_sessions))


def links_between_days(parsed: "DataFrame") -> dict[str, list[str]]:
    """For each day that holds a session another day of the batch holds too: those other days."""
    days = (
        _dated_sessions(parsed).groupBy("session_id").agg(F.collect_set("unit").alias("days")).where(F.size("days") > 1)
    )
    links: dict[str, set[str]] = {}
    for row in days.select("days").distinct().collect():
        for day in row["days"]:
            links.setdefault(day, set()).update(set(row["days"]) - {day})
    return {day: sorted(others) for day, others in sorted(links.items())}


def newly_linked_days(parsed: "DataFrame", main: "DataFrame", days: "Iterable[date]") -> frozenset[date]:
    """Days outside `days` whose rows in `main` belong to sessions of this batch: they decide together."""
    ids = cached(_dated_sessions(parsed).select("session_id").distinct())
    # Counted first: Spark then knows their size, and sends a day's ids to main's rows, but not a year's (no hint: one
    # would force them all into one heap).
    if not ids.count():
        return frozenset()
    elsewhere = main.where(~within(days)).join(ids, "session_id", "left_semi")
    found = elsewhere.select(F.to_date("session_start_time").alias("day")).distinct().collect()
    return frozenset(row["day"] for row in found)


def within(days: "Iterable[date]") -> "Column":
    """Whether a row's `session_start_time` is in one of these UTC days, as ranges that Iceberg maps to partitions."""
    condition: Column = F.lit(False)
    start = F.col("session_start_time")
    for run in runs_of(days):
        condition |= (start >= F.lit(midnight(run.start))) & (start < F.lit(midnight(run.end)))
    return condition


def silver_rows(validated: Validation, batch_id: str) -> "DataFrame":
    """The accepted items as silver's columns."""
    return validated.rows.withColumn("batch_id", F.lit(batch_id)).select(*TABLES[Entity.SESSIONS].column_names)


def _validate_sessions(validated: "DataFrame", rules: "Column") -> "DataFrame":
    """The sessions with the reasons against each; `conflicting`: how many different ones a day has under its id."""
    by_key = Window.partitionBy("unit", "session_id")
    conflicting = F.when(F.col("session_id").isNotNull(), F.count("*").over(by_key)).otherwise(1)
    return cached(
        validated.where(F.col("item_number").isNull())
        .drop(*_ITEM_COLUMNS)
        .withColumn("conflicting", conflicting)
        .withColumn(
            "reasons",
            reasons(
                F.col("problems"),
                F.array_intersect("failed", rules),
                reason_if(F.col("conflicting") > 1, "several different records under one session_id"),
            ),
        )
    )


def _newest(sessions: "DataFrame") -> "DataFrame":
    """Of each accepted session the record (unit, digest) that was extracted last, whatever its day."""
    newest = Window.partitionBy("session_id").orderBy(F.desc("ingested_at"), F.desc("unit"))
    return (
        sessions.where(_is_accepted() & _is_dated())
        .withColumn("row_rank", F.row_number().over(newest))
        .where(F.col("row_rank") == 1)
        .select("unit", "digest")
    )


def _validate_items(validated: "DataFrame", winners: "DataFrame", session_rules: "Column") -> "DataFrame":
    """The items of these records with the reasons against each."""
    return cached(
        validated.where(F.col("item_number").isNotNull())
        .drop("record", "item_count", "unknown")
        .join(winners, ["unit", "digest"], "left_semi")
        .withColumn("reasons", reasons(F.col("problems"), F.array_except("failed", session_rules)))
    )


def _validation(sessions: "DataFrame", items: "DataFrame") -> Validation:
    """What became of the records, counted in items; what belongs to no day is rejected and not counted."""
    weight = F.greatest(F.col("item_count"), F.lit(1))
    counts = sessions.agg(
        F.sum(F.when(_is_dated(), weight)).alias("received"),
        F.sum(F.when(_is_dated() & ~_is_accepted(), weight)).alias("rejected"),
        F.count(F.when(_is_dated() & ~_is_accepted(), 1)).alias("sessions_rejected"),
        F.count(F.when(~_is_dated(), 1)).alias("undated"),
        F.count(F.when(_is_dated() & (F.col("conflicting") > 1), 1)).alias("conflicting"),
        F.array_sort(F.array_distinct(F.flatten(F.collect_set("unknown")))).alias("unknown"),
    ).collect()[0]
    accepted_items = items.where(_is_accepted())
    rejected_items = items.where(~_is_accepted())
    counted = rejected_items.agg(F.count("*").alias("items"), F.countDistinct("digest").alias("sessions"))
    in_accepted = counted.collect()[0]
    rejected = rejected_records(sessions.where(~_is_accepted() | ~_is_dated()))
    if in_accepted["items"]:
        rejected = rejected.unionByName(rejected_records(_with_record(rejected_items, sessions)))
    accepted = accepted_records(sessions.where(_is_accepted() & _is_dated()), "session_id").unionByName(
        accepted_records(_with_record(accepted_items, sessions), "session_id")
    )
    return Validation(
        rows=accepted_items,
        rejected=rejected if counts["rejected"] or counts["undated"] or in_accepted["items"] else None,
        accepted=accepted,
        received=counts["received"] or 0,
        rejected_count=(counts["rejected"] or 0) + in_accepted["items"],
        records_rejected=counts["sessions_rejected"] + in_accepted["sessions"],
        conflicting=counts["conflicting"],
        unknown_fields=tuple(counts["unknown"] or ()),
    )


def _with_record(items: "DataFrame", sessions: "DataFrame") -> "DataFrame":
    """Items with the record that quarantine keeps of each.

    A session's own record is read once, however many of its items are asked for: their number is the source's choice.
    """
    by_session = items.groupBy("unit", "digest", "landing", "session_id").agg(
        F.collect_list(F.struct("item_number", "reasons")).alias("kept")
    )
    sent = by_session.join(sessions.select("unit", "digest", "record"), ["unit", "digest"])
    records = F.udf(item_records, "array<string>")("record", "kept.item_number")
    each = F.explode(F.arrays_zip(F.col("kept.reasons").alias("reasons"), records.alias("record"))).alias("item")
    return sent.select("landing", "session_id", each).select("landing", "session_id", "item.reasons", "item.record")


def _is_accepted() -> "Column":
    return F.size("reasons") == 0


def _is_dated() -> "Column":
    return ~F.col("unit").endswith("~unplaced")


def _dated_sessions(parsed: "DataFrame") -> "DataFrame":
    """The sessions that have an id and belong to a day."""
    return parsed.where(F.col("item_number").isNull() & F.col("session_id").isNotNull() & _is_dated())


def _texts(rules: "Ruleset") -> "Column":
    return F.array(*(F.lit(rule.text) for rule in rules.rules))
