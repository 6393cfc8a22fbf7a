"""What the module of each entity hands to the stage: validated rows, and how they are written."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime

from deftunes.state.landings import Receipt
from deftunes.transform.frames import Validation


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One entity's share of a batch. `write` gets the branch's name in Spark SQL.

    `days`, `links` and `mended` are those of `deftunes.state.manifest.Manifest`; `notes` are for a person, one sentence
    each.
    """

    validation: Validation
    receipts: tuple[Receipt, ...]
    write: Callable[[str], None]
    days: tuple[date, ...] = ()
    links: dict[str, list[str]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    mended: tuple[datetime, ...] = ()
