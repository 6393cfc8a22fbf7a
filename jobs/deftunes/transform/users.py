"""Users: the newest snapshot -> versions; a new version only where the content differs from the newest one before.

    lines -> conform -> collapse identical -> conflicts -> rules -> compare with main

`effective_from` is the landing's `extracted_at`, so a backfill puts no old state on top, and a landing judged again
replaces exactly the versions of its own instant.
"""

from datetime import datetime
from typing import TYPE_CHECKING

from pyspark.sql import Window
from pyspark.sql import functions as F  # noqa: N812 - the name every Spark reader knows

from deftunes.adapters.deequ import failed_rules
from deftunes.state.schema import USERS
from deftunes.transform.conform import user_rows
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
    from pyspark.sql import Column, DataFrame, SparkSession

    from deftunes.adapters.lake import Lake
    from deftunes.core.rules import Ruleset
    from deftunes.state.landings import Receipt

_CONTENT = {
    "user_name": "string",
    "user_lastname": "string",
    "latitude": "decimal(11,8)",
    "longitude": "decimal(11,8)",
    "place_name": "string",
    "country_code": "string",
    "timezone": "string",
    "user_since": "timestamp",
}
_COLUMNS = {
    "digest": "binary",
    "record": "string",
    "unknown": "array<string>",
    "problems": "array<string>",
    "user_id": "string",
    **_CONTENT,
}


def judge(spark: "SparkSession", lake: "Lake", receipt: "Receipt", rules: "Ruleset") -> Judgement:
    """Accept or reject every user of one landing."""
    users = landed_records(spark, lake, [receipt], user_rows, _COLUMNS).dropDuplicates(["digest"])
    twins = F.when(F.col("user_id").isNotNull(), F.count("*").over(Window.partitionBy("user_id"))).otherwise(1)
    users = failed_rules(kept(users.withColumn("twins", twins)), rules.row_rules(_COLUMNS), "failed")
    conflict = reason_if(F.col("twins") > 1, "several different records under one user_id")
    users = kept(users.withColumn("reasons", reasons(F.col("problems"), F.col("failed"), conflict)))
    accepted = F.size("reasons") == 0
    counts = users.agg(
        F.count("*").alias("received"),
        F.count(F.when(~accepted, 1)).alias("rejected"),
        F.count(F.when(F.col("twins") > 1, 1)).alias("conflicts"),
        F.array_sort(F.array_distinct(F.flatten(F.collect_set("unknown")))).alias("unknown"),
    ).collect()[0]
    return Judgement(
        rows=users.where(accepted),
        rejected=rejected_records(users.where(~accepted)) if counts["rejected"] else None,
        accepted=accepted_records(users.where(accepted), "user_id"),
        received=counts["received"],
        rejected_count=counts["rejected"],
        conflicts=counts["conflicts"],
        unknown_fields=tuple(counts["unknown"] or ()),
    )


def new_versions(accepted: "DataFrame", main: "DataFrame", effective_from: datetime, batch_id: str) -> "DataFrame":
    """The users whose content differs from their newest version before `effective_from`, as silver rows."""
    newest = Window.partitionBy("user_id").orderBy(F.desc("effective_from"))
    before = (
        main.where(F.col("effective_from") < F.lit(effective_from))
        .withColumn("place", F.row_number().over(newest))
        .where(F.col("place") == 1)
        .select("user_id", *(F.col(name).alias(f"{name}_before") for name in _CONTENT), F.lit(True).alias("known"))
    )
    same: Column = F.col("known").isNotNull()
    for name in _CONTENT:
        same = same & F.col(name).eqNullSafe(F.col(f"{name}_before"))
    return (
        accepted.join(before, "user_id", "left")
        .where(~same)
        .withColumn("effective_from", F.lit(effective_from))
        .withColumn("ingested_at", F.lit(effective_from))
        .withColumn("batch_id", F.lit(batch_id))
        .select(*USERS.column_names)
    )
