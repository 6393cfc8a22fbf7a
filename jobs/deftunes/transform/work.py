"""What the module of each entity hands to the stage: validated records, and what its branch is to be."""

from dataclasses import dataclass, field
from datetime import date, datetime

from deftunes.core.engine import Between, OneOf, SameKey
from deftunes.state.landings import Receipt
from deftunes.transform.validation import Validation


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One entity's share of a batch: the query `rows` yields silver's rows, in place of those `replaced`.

    `days`, `links` and `mended` are those of `deftunes.state.manifest.Manifest`; `notes` are for a person, one sentence
    each.
    """

    validation: Validation
    receipts: tuple[Receipt, ...]
    rows: str
    replaced: Between | OneOf | SameKey | None
    days: tuple[date, ...] = ()
    links: dict[str, list[str]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    mended: tuple[datetime, ...] = ()
