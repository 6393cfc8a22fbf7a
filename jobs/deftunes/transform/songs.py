"""Songs: the chain of landings since main's -> changed rows and deletions, merged into one row per track_id.

    full | changes since the landing that main holds -> collapse -> conflicts -> rules -> compare with main

Normally the newest landing alone is read. After a change of rules, or when main holds none of the chain, the chain is
read back to its last full landing: for each track the newest landing that has it speaks.
"""

from datetime import datetime
from typing import TYPE_CHECKING

from pyspark.sql import Window
from pyspark.sql import functions as F

from deftunes.adapters.deequ import failed_rules
from deftunes.core import layout
from deftunes.core.entities import Entity
from deftunes.core.entities.songs import UNREADABLE
from deftunes.state.landings import Landings
from deftunes.state.schema import TABLES
from deftunes.transform.branch import batch_writer, main_before
from deftunes.transform.frames import Validation, accepted_records, cached, reason_if, reasons, rejected_records
from deftunes.transform.numbers import LOSSLESS, PROBLEMS, Exactly
from deftunes.transform.work import Work

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from pyspark.sql import Column, DataFrame, SparkSession

    from deftunes.adapters.lake import Lake
    from deftunes.core.rules import Ruleset
    from deftunes.state.batches import Batch
    from deftunes.state.landings import Receipt
    from deftunes.state.manifest import Manifest

_TYPES = Entity.SONGS.declaration.sent_types
# How the names of a landing's parts begin.
_PART, _KEYS, _WRITTEN = "part-", "keys-", "written-"


def prepare(spark: "SparkSession", lake: "Lake", batch: "Batch", rules: "Ruleset") -> Work:
    """The songs that the chain of landings changes."""
    newest = batch.landings[layout.SNAPSHOT]
    chain = chain_since(Landings(lake, Entity.SONGS), newest, batch.published, batch.rules)
    validation = validate(spark, lake, chain, rules)
    main = main_before(spark, batch)

    changed = changes(validation.rows, main, live_keys(spark, lake, chain), newest.extracted_at, batch.id)
    if batch.base is not None:
        changed = cached(changed)

    def write(target: str) -> None:
        rows = changed
        if batch.base is not None:
            if not rows.isEmpty():
                rows.createOrReplaceTempView("changes")
                spark.sql(
                    f"MERGE INTO {target} t USING changes c ON t.track_id = c.track_id "
                    "WHEN MATCHED THEN UPDATE SET * WHEN NOT MATCHED THEN INSERT *"
                )
            rows = rows.limit(0)  # MERGE cannot carry the batch's id, so an empty append after it does
        batch_writer(rows, target, batch).append()

    return Work(
        validation=validation,
        receipts=tuple(chain),
        write=write,
        notes=_missed(spark, lake, newest, changed) if _is_check(batch, newest) else (),
    )


def _is_check(batch: "Batch", newest: "Receipt") -> bool:
    """Whether `newest` says what was written since the landing that `main` holds, validated as now.

    Of conflicting rows `main` holds none, or one from before the conflict: it may differ without being wrong.
    """
    published = batch.published
    if published is None or published.conflicting or published.rules != batch.rules:
        return False
    return newest.source.get("check") == published.landings[layout.SNAPSHOT]


def _missed(spark: "SparkSession", lake: "Lake", newest: "Receipt", changed: "DataFrame") -> tuple[str, ...]:
    """A sentence where songs differ from `main` that nothing wrote since: an increment before has missed them."""
    written = _keys(spark, lake, newest, _WRITTEN)
    missed = changed.where(~F.col("is_deleted")).join(written, "track_id", "left_anti")
    count = missed.count()
    if not count:
        return ()
    first = ", ".join(row["track_id"] for row in missed.orderBy("track_id").limit(3).collect())
    return (
        f"WRONG IN MAIN UNTIL NOW: {count} songs differ from the source although nothing wrote them since the landing "
        f"before (first: {first}). This batch mends them; docs/runbook.md says what to look for",
    )


def chain_since(landings: "Landings", newest: "Receipt", published: "Manifest | None", rules: str) -> "list[Receipt]":
    """The landings to read, oldest first: from after the one `main` holds under these rules, else from a full one."""
    published_key = published.landings[layout.SNAPSHOT] if published and published.rules == rules else None
    chain = [newest]
    while chain[0].source["kind"] != "full" and chain[0].source["base"] != published_key:
        chain.insert(0, landings.read(chain[0].source["base"]))
    return chain


def validate(spark: "SparkSession", lake: "Lake", chain: "Sequence[Receipt]", rules: "Ruleset") -> Validation:
    """Accept or reject every song of the chain of landings."""
    landed = [
        _rows(spark, lake, receipt).withColumn("row_rank", F.lit(rank)).withColumn("landing", F.lit(receipt.key))
        for rank, receipt in enumerate(chain)
    ]
    songs = landed[0]
    for more in landed[1:]:
        songs = songs.unionByName(more)
    one_per_key = _one_per_key(songs)
    typed, doubtful = _typed(one_per_key)
    validated = failed_rules(typed, rules.row_rules(_TYPES), "failed")
    conflict = reason_if(F.col("conflicting") > 1, "several different records under one track_id")
    unreadable = F.when(F.col(UNREADABLE).isNotNull(), F.array(UNREADABLE))
    problems = reasons(F.col(PROBLEMS), unreadable, F.col("failed"), conflict)
    # Cached before anything is derived from it: Spark would write the rules' expressions out again in each place.
    songs = cached(validated.withColumn("reasons", problems)).withColumn("record", _record(doubtful))
    accepted = F.size("reasons") == 0
    counts = songs.agg(
        F.count("*").alias("received"),
        F.count(F.when(~accepted, 1)).alias("rejected"),
        F.count(F.when(F.col("conflicting") > 1, 1)).alias("conflicting"),
    ).collect()[0]
    return Validation(
        rows=songs.where(accepted),
        rejected=rejected_records(songs.where(~accepted)) if counts["rejected"] else None,
        accepted=accepted_records(songs.where(accepted), "track_id"),
        received=counts["received"],
        rejected_count=counts["rejected"],
        records_rejected=counts["rejected"],
        source_rows=chain[-1].source["rows"],
        conflicting=counts["conflicting"],
    )


def _typed(songs: "DataFrame") -> "tuple[DataFrame, Collection[str]]":
    """The songs in silver's types, and the columns whose values may not fit: how these landed stays beside them."""
    doubtful = {
        name: _TYPES[name] for name, landed in songs.dtypes if name in _TYPES and (landed, _TYPES[name]) not in LOSSLESS
    }
    songs = songs.withColumns({f"{name}_as_landed": F.col(name) for name in doubtful})
    if doubtful:
        kept = ", ".join(f"{name} {doubtful.get(name, landed)}" for name, landed in songs.dtypes)
        songs = songs.mapInArrow(Exactly(doubtful).batches, f"{kept}, {PROBLEMS} array<string>")
    else:
        songs = songs.withColumn(PROBLEMS, F.array().cast("array<string>"))
    return songs.withColumns({name: F.col(name).cast(type_) for name, type_ in _TYPES.items()}), doubtful


def _one_per_key(songs: "DataFrame") -> "DataFrame":
    """The newest landing's rows of each track, identical ones collapsed; `conflicting`: how many are left.

    Nearly all keys come once: only the others are sorted out, so that a million songs are not shuffled for a few.
    """
    keys = songs.groupBy("track_id").count().where((F.col("count") > 1) & F.col("track_id").isNotNull())
    several = F.broadcast(keys.select("track_id"))
    by_key = Window.partitionBy("track_id")
    sorted_out = (
        songs.join(several, "track_id", "left_semi")
        .withColumn("newest", F.max("row_rank").over(by_key))
        .where(F.col("row_rank") == F.col("newest"))
        .dropDuplicates([*_TYPES])
        .withColumn("conflicting", F.count("*").over(by_key))
        .drop("newest")
    )
    once = songs.join(several, "track_id", "left_anti").withColumn("conflicting", F.lit(1))
    return once.unionByName(sorted_out).drop("row_rank")


def live_keys(spark: "SparkSession", lake: "Lake", chain: "Sequence[Receipt]") -> "DataFrame | None":
    """All track_ids that the source holds, or None if the chain says that the set of keys did not change.

    The newest landing that lists all keys speaks; a landing after it without such a list changed none of them.
    """
    keys: DataFrame | None = None
    for receipt in chain:
        if receipt.source["kind"] == "full":
            keys = _keys(spark, lake, receipt, _PART)
        elif _paths(lake, receipt, _KEYS):
            keys = _keys(spark, lake, receipt, _KEYS)
    return keys


def changes(
    accepted: "DataFrame", main: "DataFrame", keys: "DataFrame | None", extracted_at: datetime, batch_id: str
) -> "DataFrame":
    """The rows that differ from `main` (new, changed, back again, deleted), as silver rows; no other is rewritten.

    A chain of several landings has songs that the source deleted after they were landed: `keys` leaves them out.
    """
    content = [name for name in _TYPES if name != "track_id"]
    before = main.select(
        "track_id",
        *(F.col(name).alias(f"{name}_before") for name in [*content, "is_deleted"]),
        F.lit(True).alias("known"),
    )
    same = F.col("known").isNotNull() & ~F.coalesce("is_deleted_before", F.lit(False))
    for name in content:
        same = same & F.col(name).eqNullSafe(F.col(f"{name}_before"))
    rows = accepted.join(before, "track_id", "left").where(~same).withColumn("is_deleted", F.lit(False))
    if keys is not None:
        rows = rows.join(keys, "track_id", "left_semi")
        gone = (
            main.where(~F.col("is_deleted")).join(keys, "track_id", "left_anti").withColumn("is_deleted", F.lit(True))
        )
        rows = rows.select(*_TYPES, "is_deleted").unionByName(gone.select(*_TYPES, "is_deleted"))
    provenance = {"ingested_at": F.lit(extracted_at), "batch_id": F.lit(batch_id)}
    return rows.withColumns(provenance).select(*TABLES[Entity.SONGS].column_names)


def _rows(spark: "SparkSession", lake: "Lake", receipt: "Receipt") -> "DataFrame":
    rows = spark.read.parquet(*_paths(lake, receipt, _PART))
    unreadable = F.col(UNREADABLE) if UNREADABLE in rows.columns else F.lit(None).cast("string")
    return rows.select(*_TYPES, unreadable.alias(UNREADABLE))


def _keys(spark: "SparkSession", lake: "Lake", receipt: "Receipt", kind: str) -> "DataFrame":
    return spark.read.parquet(*_paths(lake, receipt, kind)).select("track_id")


def _paths(lake: "Lake", receipt: "Receipt", kind: str) -> list[str]:
    """Where the parts of this kind are."""
    return [lake.uri(part.key, "s3a") for part in receipt.parts if part.key.rpartition("/")[2].startswith(kind)]


def _record(doubtful: "Collection[str]") -> "Column":
    """The song as landed, as JSON."""
    fields = (F.col(f"{name}_as_landed" if name in doubtful else name).alias(name) for name in _TYPES)
    return F.to_json(F.struct(*fields), {"ignoreNullFields": "false"})
