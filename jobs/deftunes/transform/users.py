"""Users: the newest snapshot -> versions; a new version only where the content differs from the newest one before.

    lines -> conform -> collapse identical -> conflicts -> rules -> compare with main

`effective_from` is the landing's `extracted_at`, so a backfill puts no old state on top, and a landing validated again
replaces exactly the versions of its own instant. Versions of other landings go in two cases, in which nothing that the
source sends later would mend them: their landing was withdrawn, or the rules have changed and reject them.
"""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pyspark.sql import Window
from pyspark.sql import functions as F

from deftunes.adapters.deequ import failed_rules
from deftunes.core import layout
from deftunes.core.entities import Entity
from deftunes.state.landings import Landings
from deftunes.state.schema import TABLES
from deftunes.transform.branch import batch_writer, delete_rows, main_before
from deftunes.transform.conform import user_rows
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
    from collections.abc import Sequence

    from pyspark.sql import Column, DataFrame, SparkSession

    from deftunes.adapters.lake import Lake
    from deftunes.core.rules import Ruleset
    from deftunes.state.batches import Batch
    from deftunes.state.landings import Receipt

_DECLARED = Entity.USERS.declaration
_CONTENT = _DECLARED.content_types
_COLUMNS = {
    "digest": "binary",
    "record": "string",
    "unknown": "array<string>",
    "problems": "array<string>",
    **_DECLARED.sent_types,
}


def prepare(spark: "SparkSession", lake: "Lake", batch: "Batch", rules: "Ruleset") -> Work:
    """The versions that the newest landing adds."""
    receipt = batch.landings[layout.SNAPSHOT]
    validation = validate(spark, lake, receipt, rules)
    main = main_before(spark, batch)
    mistaken = mistaken_versions(main, _withdrawn_instants(lake, receipt), rules if _has_new_rules(batch) else None)
    mended = () if mistaken is None else _instants_of(mistaken, but=receipt.extracted_at)

    def write(target: str) -> None:
        # Validated again under other rules, a landing replaces its own versions and no others. By row, and so before
        # the commit that can carry the batch's id: an overwrite drops whole files, and a compaction mixes instants.
        replaced = {f"instant_{place}": instant for place, instant in enumerate((receipt.extracted_at, *mended))}
        if mended or not main.where(F.col("effective_from") == F.lit(receipt.extracted_at)).isEmpty():
            delete_rows(spark, target, f"effective_from IN ({', '.join(f':{name}' for name in replaced)})", replaced)
        before = main.join(mistaken, [*_DECLARED.key], "left_anti") if mistaken is not None else main
        versions = new_versions(validation.rows, before, receipt.extracted_at, batch.id)
        if mended:
            # Those of the same instants that are right go back as they were.
            right = before.where(F.col("effective_from").isin(*mended))
            versions = versions.unionByName(right.select(*versions.columns))
        batch_writer(versions, target, batch).append()

    return Work(validation=validation, receipts=(receipt,), write=write, mended=mended)


def mistaken_versions(
    main: "DataFrame", withdrawn: "Sequence[datetime]", new_rules: "Ruleset | None"
) -> "DataFrame | None":
    """The keys of versions in `main` that are of withdrawn landings or that new rules reject; None: there are none."""
    if not withdrawn and new_rules is None:
        return None
    versions = main.where(F.col("effective_from").isin(*withdrawn)) if withdrawn else main.limit(0)
    keys = versions.select(*_DECLARED.key)
    if new_rules is not None:
        validated = failed_rules(main, new_rules.row_rules(_DECLARED.sent_types), "failed")
        keys = keys.union(validated.where(F.size("failed") > 0).select(*_DECLARED.key)).distinct()
    return cached(keys)


def _instants_of(versions: "DataFrame", *, but: datetime) -> tuple[datetime, ...]:
    found = {row["effective_from"].astimezone(UTC) for row in versions.select("effective_from").distinct().collect()}
    return tuple(sorted(found - {but}))


def _withdrawn_instants(lake: "Lake", receipt: "Receipt") -> list[datetime]:
    folders = Landings(lake, Entity.USERS).withdrawn(layout.SNAPSHOT)
    return sorted({layout.instant_of_landing(folder) for folder in folders} - {receipt.extracted_at})


def _has_new_rules(batch: "Batch") -> bool:
    return batch.published is not None and batch.published.rules != batch.rules


def validate(spark: "SparkSession", lake: "Lake", receipt: "Receipt", rules: "Ruleset") -> Validation:
    """Accept or reject every user of one landing."""
    users = landed_records(spark, lake, [receipt], user_rows, _COLUMNS).dropDuplicates(["digest"])
    conflicting = F.when(F.col("user_id").isNotNull(), F.count("*").over(Window.partitionBy("user_id"))).otherwise(1)
    users = failed_rules(cached(users.withColumn("conflicting", conflicting)), rules.row_rules(_COLUMNS), "failed")
    conflict = reason_if(F.col("conflicting") > 1, "several different records under one user_id")
    users = cached(users.withColumn("reasons", reasons(F.col("problems"), F.col("failed"), conflict)))
    accepted = F.size("reasons") == 0
    counts = users.agg(
        F.count("*").alias("received"),
        F.count(F.when(~accepted, 1)).alias("rejected"),
        F.count(F.when(F.col("conflicting") > 1, 1)).alias("conflicting"),
        F.array_sort(F.array_distinct(F.flatten(F.collect_set("unknown")))).alias("unknown"),
    ).collect()[0]
    return Validation(
        rows=users.where(accepted),
        rejected=rejected_records(users.where(~accepted)) if counts["rejected"] else None,
        accepted=accepted_records(users.where(accepted), "user_id"),
        received=counts["received"],
        rejected_count=counts["rejected"],
        records_rejected=counts["rejected"],
        conflicting=counts["conflicting"],
        unknown_fields=tuple(counts["unknown"] or ()),
    )


def new_versions(accepted: "DataFrame", main: "DataFrame", effective_from: datetime, batch_id: str) -> "DataFrame":
    """The users whose content differs from their newest version before `effective_from`, as silver rows."""
    newest = Window.partitionBy("user_id").orderBy(F.desc("effective_from"))
    before = (
        main.where(F.col("effective_from") < F.lit(effective_from))
        .withColumn("row_rank", F.row_number().over(newest))
        .where(F.col("row_rank") == 1)
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
        .select(*TABLES[Entity.USERS].column_names)
    )
