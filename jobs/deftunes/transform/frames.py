"""What the entities' transforms share: landings as frames, typed by our own conforming, and the validation of rows."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyspark import StorageLevel
from pyspark.sql import functions as F

from deftunes.transform.convert import Conform, Converter

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

    from deftunes.adapters.lake import Lake
    from deftunes.state.landings import Receipt


@dataclass(frozen=True, slots=True, kw_only=True)
class Validation:
    """A batch's rows, and which of its records were accepted.

    `rows` are the accepted rows, typed. `rejected` has one row per rejected record: landing, record, record_sha256,
    reasons; `accepted` has key and record_sha256 of each accepted one. `received` and `rejected_count` are in items for
    sessions; `records_rejected` are the records that these are of; `conflicting` are records that share their key with
    a different one of the same landing. `source_rows` is what the source holds, where the landing is a part of it.
    """

    rows: "DataFrame"
    rejected: "DataFrame | None"  # None: nothing to say
    accepted: "DataFrame"
    received: int
    rejected_count: int
    records_rejected: int
    conflicting: int = 0
    source_rows: int = 0
    unknown_fields: tuple[str, ...] = ()


def landed_records(
    spark: "SparkSession", lake: "Lake", receipts: Iterable["Receipt"], conform: Conform, columns: Mapping[str, str]
) -> "DataFrame":
    """One row per row that `conform` yields for a landed record, typed by `columns` (name -> Spark type).

    Adds unit, landing and ingested_at (the landing's `extracted_at`).
    """
    receipts = list(receipts)
    origin = {
        receipt.key: {"unit": receipt.unit, "landing": receipt.key, "ingested_at": receipt.extracted_at}
        for receipt in receipts
    }
    types = {"unit": "string", "landing": "string", "ingested_at": "timestamp", **columns}
    ddl = ", ".join(f"{name} {type_}" for name, type_ in types.items())
    paths = [lake.uri(part.key, "s3a") for receipt in receipts for part in receipt.parts if part.rows]
    if not paths:
        return spark.createDataFrame([], ddl)
    convert = Converter(conform, types, origin, lake.uri("", "s3a"))
    lines = spark.read.text(paths, lineSep="\n").select("value", F.col("_metadata.file_path").alias("path"))
    return lines.mapInArrow(convert.batches, ddl)


def cached(frame: "DataFrame") -> "DataFrame":
    """Computed once, read several times; what does not fit in memory goes to this machine's disk."""
    return frame.persist(StorageLevel.MEMORY_AND_DISK)


def reasons(*parts: "Column") -> "Column":
    """All reasons against one row, each once; NULL parts say nothing."""
    return F.array_distinct(F.concat(*(F.coalesce(part, F.array().cast("array<string>")) for part in parts)))


def rejected_records(frame: "DataFrame") -> "DataFrame":
    """What quarantine takes of rejected rows that carry their record."""
    return frame.select("landing", "record", _record_digest(), "reasons")


def accepted_records(frame: "DataFrame", key: str) -> "DataFrame":
    """The identity of accepted records, to find those that quarantine holds."""
    return frame.select(F.col(key).alias("key"), _record_digest())


def reason_if(condition: "Column", text: str) -> "Column":
    """One reason where `condition` holds."""
    return F.when(condition, F.array(F.lit(text)))


def _record_digest() -> "Column":
    return F.sha2("record", 256).alias("record_sha256")
