"""What an extract did, and the one check that may refuse it."""

from dataclasses import dataclass
from datetime import datetime

from deftunes.adapters.lake import JsonObject
from deftunes.entities import Entity
from deftunes.errors import RefusedError
from deftunes.interval import Interval
from deftunes.landing import Receipt


@dataclass(frozen=True, slots=True)
class Landed:
    """The outcome of one extract.

    `written` and `unchanged` are landing units; `rows` came from the source and `bytes` crossed the wire (for songs:
    were written); `tries` counts requests with their repetitions; `notes` are for a person, one sentence each.
    """

    entity: Entity
    interval: Interval
    extracted_at: datetime
    written: tuple[str, ...]
    unchanged: tuple[str, ...]
    rows: int
    bytes: int
    tries: int = 1
    notes: tuple[str, ...] = ()

    def to_json(self) -> JsonObject:
        """As logged."""
        return {
            "entity": str(self.entity),
            "interval": [self.interval.start.isoformat(), self.interval.end.isoformat()],
            "extracted_at": self.extracted_at.isoformat(),
            "written": list(self.written),
            "unchanged": list(self.unchanged),
            "rows": self.rows,
            "bytes": self.bytes,
            "tries": self.tries,
            "notes": list(self.notes),
        }


def units_of(committed: list[tuple[Receipt, bool]]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The units that were written and those that hold the same as before."""
    written = tuple(receipt.unit for receipt, new in committed if new)
    return written, tuple(receipt.unit for receipt, new in committed if not new)


def refuse_shrunk(
    entity: Entity, interval: Interval, *, had: int, came: int, max_shrink: float, accept_shrink: bool
) -> None:
    """Refuse an answer that lacks more than the share `max_shrink` of what is landed already.

    Raises:
        RefusedError: with the flag that accepts it.

    """
    if accept_shrink or came >= (1 - max_shrink) * had:
        return
    raise RefusedError(
        f"{entity} {interval}: expected at least {1 - max_shrink:.0%} of the {had} rows landed before, got {came}. "
        f"Nothing was changed. If the source is right, run it again with --accept-shrink; "
        f"DEFTUNES_MAX_SHRINK (now {max_shrink:g}) sets the share"
    )
