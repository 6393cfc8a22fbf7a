"""The quarantine: every rejected record once, with its reasons and its original text.

Written before the batch's branch, so a record is in silver or here, never in neither. The key is (entity, SHA-256 of
the record as received). Commits are strict: a commit that lost a race reads again what is there and adds the rest.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pyiceberg.expressions import AlwaysTrue, And, BooleanExpression, EqualTo, In, IsNull, Or
from pyiceberg.io.pyarrow import schema_to_pyarrow

from deftunes.adapters.catalog import silver_table
from deftunes.core import layout
from deftunes.core.entities import Entity
from deftunes.core.records import content_digest
from deftunes.state.commits import commit_retrying

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog
    from pyiceberg.table import Table

# Whichever comes first: a record may be of any length, and a chunk is whole in memory.
_CHUNK = 20_000
_CHARACTERS_A_CHUNK = 64 << 20


@dataclass(frozen=True, slots=True)
class Rejected:
    """One rejected record. `day` is None for a snapshot's record and where the time cannot be read."""

    entity: Entity
    record_sha256: str
    batch_id: str
    reasons: tuple[str, ...]
    record: str
    source: str
    day: date | None
    ingested_at: datetime


def add(catalog: "Catalog", rejected: Iterable[Rejected]) -> int:
    """Add those that are not there yet, in chunks of bounded size; returns how many were new."""
    return sum(_add_chunk(catalog, chunk) for chunk in _chunks(rejected))


def release(catalog: "Catalog", entity: Entity, digests: Sequence[str]) -> None:
    """Remove records that have been accepted meanwhile."""
    if not digests:
        return
    matching = And(EqualTo(term="entity", value=entity.value), In(term="record_sha256", literals=digests))

    def remove(table: "Table") -> None:
        if table.scan(row_filter=matching, selected_fields=("record_sha256",)).to_arrow().num_rows:
            table.delete(matching)

    commit_retrying(catalog, layout.QUARANTINE, remove)


def identity(entity: Entity, record: str) -> bytes:
    """What makes two texts one record, 32 bytes.

    Of an API's record its content as sent. Of a song, which no source sends as text, its values: earlier releases wrote
    0.0002 as 2.0E-4.
    """
    if entity is Entity.SONGS:
        values = {name: value for name, value in json.loads(record).items() if value is not None}
        record = json.dumps({name: value + 0.0 if value == 0.0 else value for name, value in values.items()})
    return content_digest(record.encode())


def listed(
    catalog: "Catalog",
    entity: Entity | None = None,
    days: Sequence[date] | None = None,
    *,
    fields: Sequence[str] = ("*",),
) -> Iterator[dict[str, Any]]:
    """Rejected records, streamed: entity, record_sha256, batch_id, reasons, record, source, day, ingested_at.

    `fields` are the ones to read; without the records' texts it costs next to nothing.
    """
    table = silver_table(catalog, layout.QUARANTINE)
    if table is None or table.current_snapshot() is None:
        return
    row_filter: BooleanExpression = EqualTo(term="entity", value=entity.value) if entity else AlwaysTrue()
    if days is not None:
        row_filter = And(row_filter, In(term="day", literals=days))
    for batch in table.scan(row_filter=row_filter, selected_fields=tuple(fields)).to_arrow_batch_reader():
        yield from batch.to_pylist()


def _chunks(rejected: Iterable[Rejected]) -> Iterator[list[Rejected]]:
    chunk: list[Rejected] = []
    characters = 0
    for row in rejected:
        chunk.append(row)
        characters += len(row.record)
        if len(chunk) >= _CHUNK or characters >= _CHARACTERS_A_CHUNK:
            yield chunk
            chunk, characters = [], 0
    if chunk:
        yield chunk


def _add_chunk(catalog: "Catalog", chunk: list[Rejected]) -> int:
    unique = {row.record_sha256: row for row in chunk}

    def append(table: "Table") -> int:
        present = table.scan(row_filter=_where(unique.values()), selected_fields=("record_sha256",)).to_arrow()
        known = set(present["record_sha256"].to_pylist())
        new = [row for digest, row in unique.items() if digest not in known]
        if new:
            table.append(_to_arrow(table, new))
        return len(new)

    return commit_retrying(catalog, layout.QUARANTINE, append)


def _where(rows: Iterable[Rejected]) -> BooleanExpression:
    """A record read again belongs to the same day, so only its day's rows can hold it: the cost follows the chunk."""
    rows = list(rows)
    days = {row.day for row in rows if row.day}
    conditions: list[BooleanExpression] = [In(term="day", literals=days)] if days else []
    if any(row.day is None for row in rows):
        conditions.append(IsNull(term="day"))
    condition = conditions[0] if len(conditions) == 1 else Or(*conditions)
    return And(EqualTo(term="entity", value=rows[0].entity.value), condition)


def _to_arrow(table: "Table", rows: list[Rejected]) -> pa.Table:
    schema = schema_to_pyarrow(table.schema(), include_field_ids=False)
    columns = {
        name: [getattr(row, name) for row in rows]
        for name in ("record_sha256", "batch_id", "reasons", "record", "source", "day", "ingested_at")
    }
    return pa.table({"entity": [row.entity.value for row in rows], **columns}, schema=schema)
