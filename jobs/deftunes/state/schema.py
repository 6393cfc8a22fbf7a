"""Silver's tables as data: columns, partitions, properties; tests compare load and dbt with them.

Those of entities follow from their declarations; the two others are the platform's own.
"""

from dataclasses import dataclass

from deftunes.core import layout
from deftunes.core.entities import Column, Entity


@dataclass(frozen=True, slots=True)
class SilverTable:
    """One silver table. `grain` says what a row is."""

    name: str
    grain: str
    columns: tuple[Column, ...]
    partitioned_by: tuple[str, ...] = ()
    properties: tuple[tuple[str, str], ...] = ()

    @property
    def column_names(self) -> tuple[str, ...]:
        """Names in table order."""
        return tuple(column.name for column in self.columns)


_COMMON = (
    ("format-version", "2"),
    ("write.parquet.compression-codec", "zstd"),
    # Every commit writes a new metadata file: keep the last ones only, or a table of many small days drowns in them.
    ("write.metadata.delete-after-commit.enabled", "true"),
    ("write.metadata.previous-versions-max", "20"),
)
# A commit that lost a race must be decided again against what won, never replayed on top of it.
_STRICT = (*_COMMON, ("commit.retry.num-retries", "0"))

_PROVENANCE = (
    Column("ingested_at", "timestamp", "the landing's extracted_at: when the source said so", required=True),
    Column("batch_id", "string", "batch that wrote this row", required=True),
)

QUARANTINE = SilverTable(
    layout.QUARANTINE,
    "one row per rejected record (entity, record_sha256)",
    (
        Column("entity", "string", "entity of the record", required=True),
        Column("record_sha256", "string", "SHA-256 of the record as received", required=True),
        Column("batch_id", "string", "first batch that rejected it", required=True),
        Column("reasons", "array<string>", "every rule it broke"),
        Column("record", "string", "the original record as JSON"),
        Column("source", "string", "landing it came from"),
        Column("day", "date", "UTC day it belongs to; NULL for a snapshot's record and for an unreadable time"),
        Column("ingested_at", "timestamp", "the landing's extracted_at", required=True),
    ),
    partitioned_by=("entity", "day"),
    properties=_STRICT,
)

QUALITY_RESULTS = SilverTable(
    layout.QUALITY_RESULTS,
    "one row per rule and batch",
    (
        Column("entity", "string", "entity of the batch", required=True),
        Column("batch_id", "string", "batch that was audited", required=True),
        Column("snapshot_id", "bigint", "snapshot that was audited", required=True),
        Column("rule", "string", "rule as DQDL text", required=True),
        Column("passed", "boolean", "outcome"),
        Column("detail", "string", "why it failed, with the figures"),
        Column("rows", "bigint", "rows of the batch"),
        Column("received", "bigint", "records received by the batch"),
        Column("rejected", "bigint", "of these, rejected to quarantine"),
    ),
    partitioned_by=("entity",),
    properties=_STRICT,
)


def _table_of(entity: Entity) -> SilverTable:
    declared = entity.declaration
    return SilverTable(
        entity,
        declared.grain,
        (*declared.columns, *_PROVENANCE),
        declared.partitioned_by,
        (*_COMMON, *declared.properties),
    )


TABLES: dict[str, SilverTable] = {table.name: table for table in (*map(_table_of, Entity), QUARANTINE, QUALITY_RESULTS)}
