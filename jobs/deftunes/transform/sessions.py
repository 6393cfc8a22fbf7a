"""Sessions: landed days -> items, typed and judged; a batch replaces exactly its days.

    lines -> conform -> collapse identical -> conflicts -> session rules -> newest day wins -> item rules

A session that turns up under another day belongs to its newest extraction; every day that holds it is in the same
batch, so the old day loses it in the same commit. That makes the outcome independent of the order of runs.
"""

from datetime import date
from typing import TYPE_CHECKING

from pyspark.sql import Window
from pyspark.sql import functions as F  # noqa: N812 - the name every Spark reader knows

from deftunes.adapters.deequ import failed_rules
from deftunes.core.interval import midnight, runs_of
from deftunes.state.schema import SESSIONS
from deftunes.transform.conform import item_record, session_rows
from deftunes.transform.frames import (
    Judgement,
    accepted_records,
    kept,
    landed_records,
    reason_if,
    reasons,
    rejected_records,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyspark.sql import Column, DataFrame, SparkSession

    from deftunes.adapters.lake import Lake
    from deftunes.core.rules import Ruleset
    from deftunes.state.landings import Receipt

_SESSION_COLUMNS = {
    "session_id": "string",
    "user_id": "string",
    "user_agent": "string",
    "session_start_time": "timestamp",
}
_ITEM_COLUMNS = {
    "item_number": "int",
    "track_id": "string",
    "song_name": "string",
    "artist_id": "string",
    "artist_name": "string",
    "price": "decimal(12,2)",
    "currency": "string",
    "liked": "boolean",
    "liked_since": "timestamp",
}
_COLUMNS = {
    "digest": "binary",
    "record": "string",  # of the session's own row only
    "item_count": "int",
    "unknown": "array<string>",
    "problems": "array<string>",
    **_SESSION_COLUMNS,
    **_ITEM_COLUMNS,
}


def parse(spark: "SparkSession", lake: "Lake", receipts: "Iterable[Receipt]") -> "DataFrame":
    """One row per session (item_number NULL) and one per item, identical records of one landing collapsed."""
    records = landed_records(spark, lake, receipts, session_rows, _COLUMNS)
    return kept(records.dropDuplicates(["unit", "digest", "item_number"]))


def judge(parsed: "DataFrame", rules: "Ruleset") -> Judgement:
    """Accept or reject every session, then every item of the accepted ones."""
    of_sessions = _texts(rules.row_rules(_SESSION_COLUMNS))
    # One evaluation for both kinds of row; what a rule says of a row without its columns is left aside.
    judged = failed_rules(parsed, rules.row_rules(_COLUMNS), "failed")
    sessions = _judge_sessions(judged, of_sessions)
    return _judgement(sessions, _judge_items(judged, _newest(sessions), of_sessions))


def shared_days(parsed: "DataFrame") -> dict[str, list[str]]:
    """For each day that holds a session another day of the batch holds too: those other days."""
    days = (
        _placed_sessions(parsed)
        .groupBy("session_id")
        .agg(F.collect_set("unit").alias("days"))
        .where(F.size("days") > 1)
    )
    shares: dict[str, set[str]] = {}
    for row in days.select("days").distinct().collect():
        for day in row["days"]:
            shares.setdefault(day, set()).update(set(row["days"]) - {day})
    return {day: sorted(others) for day, others in sorted(shares.items())}


def displaced_days(parsed: "DataFrame", main: "DataFrame", days: "Iterable[date]") -> frozenset[date]:
    """Days outside `days` whose rows in `main` belong to sessions of this batch: they decide together."""
    ids = kept(_placed_sessions(parsed).select("session_id").distinct())
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


def silver_rows(judged: Judgement, batch_id: str) -> "DataFrame":
    """The accepted items as silver's columns."""
    return judged.rows.withColumn("batch_id", F.lit(batch_id)).select(*SESSIONS.column_names)


def _judge_sessions(judged: "DataFrame", rules: "Column") -> "DataFrame":
    """The sessions with the reasons against each; `twins`: how many different ones a day has under its id."""
    by_key = Window.partitionBy("unit", "session_id")
    twins = F.when(F.col("session_id").isNotNull(), F.count("*").over(by_key)).otherwise(1)
    return kept(
        judged.where(F.col("item_number").isNull())
        .drop(*_ITEM_COLUMNS)
        .withColumn("twins", twins)
        .withColumn(
            "reasons",
            reasons(
                F.col("problems"),
                F.array_intersect("failed", rules),
                reason_if(F.col("twins") > 1, "several different records under one session_id"),
            ),
        )
    )


def _newest(sessions: "DataFrame") -> "DataFrame":
    """Of each accepted session the record (unit, digest) that was extracted last, whatever its day."""
    newest = Window.partitionBy("session_id").orderBy(F.desc("ingested_at"), F.desc("unit"))
    return (
        sessions.where(_is_accepted() & _is_placed())
        .withColumn("place", F.row_number().over(newest))
        .where(F.col("place") == 1)
        .select("unit", "digest")
    )


def _judge_items(judged: "DataFrame", winners: "DataFrame", session_rules: "Column") -> "DataFrame":
    """The items of these records with the reasons against each."""
    return kept(
        judged.where(F.col("item_number").isNotNull())
        .drop("record", "item_count", "unknown")
        .join(winners, ["unit", "digest"], "left_semi")
        .withColumn("reasons", reasons(F.col("problems"), F.array_except("failed", session_rules)))
    )


def _judgement(sessions: "DataFrame", items: "DataFrame") -> Judgement:
    """What became of the records, counted in items; what belongs to no day is rejected and not counted."""
    weight = F.greatest(F.col("item_count"), F.lit(1))
    counts = sessions.agg(
        F.sum(F.when(_is_placed(), weight)).alias("received"),
        F.sum(F.when(_is_placed() & ~_is_accepted(), weight)).alias("rejected"),
        F.count(F.when(~_is_placed(), 1)).alias("unplaced"),
        F.count(F.when(_is_placed() & (F.col("twins") > 1), 1)).alias("conflicts"),
        F.array_sort(F.array_distinct(F.flatten(F.collect_set("unknown")))).alias("unknown"),
    ).collect()[0]
    accepted_items = items.where(_is_accepted())
    rejected_items = items.where(~_is_accepted())
    items_rejected = rejected_items.count()
    rejected = rejected_records(sessions.where(~_is_accepted() | ~_is_placed()))
    if items_rejected:
        rejected = rejected.unionByName(rejected_records(_with_record(rejected_items, sessions)))
    accepted = accepted_records(sessions.where(_is_accepted() & _is_placed()), "session_id").unionByName(
        accepted_records(_with_record(accepted_items, sessions), "session_id")
    )
    return Judgement(
        rows=accepted_items,
        rejected=rejected if counts["rejected"] or counts["unplaced"] or items_rejected else None,
        accepted=accepted,
        received=counts["received"] or 0,
        rejected_count=(counts["rejected"] or 0) + items_rejected,
        conflicts=counts["conflicts"],
        unknown_fields=tuple(counts["unknown"] or ()),
    )


def _with_record(items: "DataFrame", sessions: "DataFrame") -> "DataFrame":
    """Items with the record that quarantine keeps of each."""
    sent = items.join(sessions.select("unit", "digest", "record"), ["unit", "digest"])
    return sent.withColumn("record", F.udf(item_record)("record", "item_number"))


def _is_accepted() -> "Column":
    return F.size("reasons") == 0


def _is_placed() -> "Column":
    return ~F.col("unit").endswith("~unplaced")


def _placed_sessions(parsed: "DataFrame") -> "DataFrame":
    """The sessions that have an id and belong to a day."""
    return parsed.where(F.col("item_number").isNull() & F.col("session_id").isNotNull() & _is_placed())


def _texts(rules: "Ruleset") -> "Column":
    return F.array(*(F.lit(rule.text) for rule in rules.rules))
