"""What the entities' transforms share: the outcome of validating a batch, and how landed lines become rows."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deftunes.core import layout
from deftunes.core.engine import Objects
from deftunes.core.errors import DeftunesError
from deftunes.core.progress import begin_count
from deftunes.core.records import decode
from deftunes.transform.convert import Conform, Converter

if TYPE_CHECKING:
    from deftunes.core.engine import Engine
    from deftunes.state.landings import Receipt


@dataclass(frozen=True, slots=True)
class RejectedRecord:
    """What quarantine takes of a record. `landing` is the folder that holds it."""

    landing: str
    record: str
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Validation:
    """Which of a batch's records were accepted.

    `received` and `rejected` are in items for sessions; `records_rejected` are the records that these are of;
    `conflicting` are records that share their key with a different one of the same landing. `source_rows` is what the
    source holds, where the landing is a part of it. `read_rejected` streams what quarantine takes, `read_accepted` the
    accepted records about these keys, as quarantine would keep them.
    """

    read_rejected: Callable[[], Iterator[RejectedRecord]]
    read_accepted: Callable[[Sequence[str]], Iterator[str]]
    received: int
    rejected: int
    records_rejected: int
    conflicting: int = 0
    source_rows: int = 0
    unknown_fields: tuple[str, ...] = ()


def land_records(engine: "Engine", receipts: Iterable["Receipt"], conform: Conform, columns: Mapping[str, str]) -> None:
    """The table `records`: a row per row that `conform` yields for a landed record, typed by `columns`.

    Adds unit, landing, ingested_at (the landing's `extracted_at`), and whether the unit is a day of events itself.
    """
    receipts = list(receipts)
    origins = {
        receipt.key: {
            "unit": receipt.unit,
            "landing": receipt.key,
            "ingested_at": receipt.extracted_at,
            "dated": layout.is_dated(receipt.unit),
        }
        for receipt in receipts
    }
    types = {"unit": "string", "landing": "string", "ingested_at": "timestamp", "dated": "boolean", **columns}
    keys = tuple(part.key for receipt in receipts for part in receipt.parts if part.rows)
    begin_count("records", sum(receipt.rows for receipt in receipts))
    engine.land("records", types, [Objects(keys, Converter(conform, types, origins).batches, lines=True)])


def expect_records(receipts: Iterable["Receipt"], read: int) -> None:
    """That all records of the landings were read: what is lost on the way is in no count, and no later stage misses it.

    Raises:
        DeftunesError: more or fewer were read.
    """
    receipts = list(receipts)
    landed = sum(receipt.rows for receipt in receipts)
    if read != landed:
        raise DeftunesError(
            f"expected {landed} records in {', '.join(receipt.key for receipt in receipts[:3])}, as the receipts say, "
            f"read {read}: was the lake changed by hand? Nothing was published; restore the objects (the bucket is "
            "versioned), or land these days again"
        )


def unknown_fields(rows: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """The names of fields that records have and nobody knows, each once, of rows with a JSON array of them."""
    return tuple(sorted({name for row in rows for name in decode(row["unknown"])}))
