"""Silver's tables as data: columns, types, keys, partitions. Spark creates them; load and dbt are held against them.

Types are Iceberg's as Spark SQL writes them; `timestamp` is Iceberg's timestamptz (UTC).
"""

from dataclasses import dataclass

from deftunes.core import layout
from deftunes.core.entities import Entity


@dataclass(frozen=True, slots=True)
class Column:
    """One column; a key column is never NULL."""

    name: str
    type: str
    comment: str
    required: bool = False


@dataclass(frozen=True, slots=True)
class Table:
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
# A commit that lost a race must be judged again against what won, never replayed on top of it.
_STRICT = (*_COMMON, ("commit.retry.num-retries", "0"))

_PROVENANCE = (
    Column("ingested_at", "timestamp", "the landing's extracted_at: when the source said so", required=True),
    Column("batch_id", "string", "batch that wrote this row", required=True),
)

SONGS = Table(
    Entity.SONGS,
    "one row per track_id",
    (
        Column("track_id", "string", "track, TR + 16", required=True),
        Column("title", "string", "title as the catalogue has it"),
        Column("song_id", "string", "MSD song, SO + 16; several tracks may share one"),
        Column("release", "string", "album"),
        Column("artist_id", "string", "artist, AR + 16"),
        Column("artist_mbid", "string", "MusicBrainz id, often unknown"),
        Column("artist_name", "string", "artist's name on this track"),
        Column("duration", "double", "seconds"),
        Column("artist_familiarity", "double", "0 to 1"),
        Column("artist_hotttnesss", "double", "0 to a little above 1"),
        Column("year", "int", "0 = unknown"),
        Column("track_7digitalid", "bigint", "7digital's id"),
        Column("shs_perf", "bigint", "SecondHandSongs performance, -1 = none"),
        Column("shs_work", "bigint", "SecondHandSongs work, 0 = none"),
        Column("is_deleted", "boolean", "the source no longer holds this track"),
        *_PROVENANCE,
    ),
    # A daily change touches few rows of a large table: merge-on-read writes those and their delete files, no more.
    properties=(*_COMMON, ("write.merge.mode", "merge-on-read"), ("write.delete.mode", "merge-on-read")),
)

USERS = Table(
    Entity.USERS,
    "one row per version of a user (user_id, effective_from)",
    (
        Column("user_id", "string", "user, uuid as text", required=True),
        Column(
            "effective_from", "timestamp", "extracted_at of the landing that first showed this version", required=True
        ),
        Column("user_name", "string", "first name"),
        Column("user_lastname", "string", "last name"),
        Column("latitude", "decimal(11,8)", "degrees"),
        Column("longitude", "decimal(11,8)", "degrees"),
        Column("place_name", "string", "place"),
        Column("country_code", "string", "ISO 3166-1 alpha-2"),
        Column("timezone", "string", "IANA name"),
        Column("user_since", "timestamp", "registration"),
        *_PROVENANCE,
    ),
    properties=_COMMON,
)

SESSIONS = Table(
    Entity.SESSIONS,
    "one row per item of a session (session_id, item_number)",
    (
        Column("session_id", "string", "session, uuid as text", required=True),
        Column("item_number", "int", "place in the session as sent, from 1", required=True),
        Column("user_id", "string", "buyer", required=True),
        Column("track_id", "string", "track sold (the API calls it song_id)"),
        Column("song_name", "string", "title at the sale"),
        Column("artist_id", "string", "artist at the sale"),
        Column("artist_name", "string", "artist's name at the sale"),
        Column("price", "decimal(12,2)", "price in `currency`"),
        Column("currency", "string", "ISO 4217"),
        Column("liked", "boolean", "the buyer liked the track; may change later"),
        Column("liked_since", "timestamp", "since when"),
        Column("user_agent", "string", "client"),
        Column("session_start_time", "timestamp", "start of the session, UTC", required=True),
        *_PROVENANCE,
    ),
    partitioned_by=("days(session_start_time)",),
    properties=(*_COMMON, ("write.distribution-mode", "hash")),
)

QUARANTINE = Table(
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

QUALITY_RESULTS = Table(
    layout.QUALITY_RESULTS,
    "one row per rule and batch",
    (
        Column("entity", "string", "entity of the batch", required=True),
        Column("batch_id", "string", "batch that was judged", required=True),
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

TABLES = {table.name: table for table in (SONGS, USERS, SESSIONS, QUARANTINE, QUALITY_RESULTS)}


def create_statement(table: Table, catalog: str) -> str:
    """The statement that creates `table` if it is missing."""
    columns = ", ".join(
        f'{column.name} {column.type}{" NOT NULL" * column.required} COMMENT "{column.comment}"'
        for column in table.columns
    )
    partitions = f" PARTITIONED BY ({', '.join(table.partitioned_by)})" if table.partitioned_by else ""
    properties = ", ".join(f"'{name}'='{value}'" for name, value in table.properties)
    return (
        f"CREATE TABLE IF NOT EXISTS {catalog}.{layout.DATABASE}.{table.name} ({columns}) "
        f"USING iceberg{partitions} TBLPROPERTIES ({properties})"
    )
