"""What an extract did, and the checks that may refuse it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from deftunes.core.clock import MAX_CLOCK_SKEW
from deftunes.core.entities import Entity
from deftunes.core.errors import RefusedError
from deftunes.core.interval import Interval, midnight
from deftunes.core.services import Service
from deftunes.state.landings import Committed, Draft, Receipt

# What a person can do besides having the source's clock corrected.
_OTHER_CLOCK = {Service.API: ", or date the answers by this machine's clock: DEFTUNES_HTTP_DATE=false"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Landed:
    """The outcome of one extract.

    `written` and `unchanged` are landing units (a note names one that is in neither); `rows` came from the
    source and `bytes` crossed the wire (for songs: were written); `tries` counts requests with their repetitions;
    `notes` are for a person, one sentence each.
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

    @property
    def was_over(self) -> bool:
        """Whether the interval had ended, by the source's clock, when this was asked for; later it may hold more.

        A snapshot is what the source holds now: its interval names the run and has no days that are yet to come.
        """
        return self.entity.is_snapshot or self.extracted_at >= midnight(self.interval.end)


def units_of(committed: list[Committed]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The units that were written and are in use now, and those that hold the same as before."""
    written = tuple(one.receipt.unit for one in committed if one.new and not one.newer)
    return written, tuple(one.receipt.unit for one in committed if not one.new)


def notes_of(committed: list[Committed]) -> tuple[str, ...]:
    """A sentence where answers are older than the landings in use, which an answer before may have dated too late."""
    withdrawn = [folder for one in committed for folder in one.withdrawn]
    notes = (
        (f"withdrawn (landings: {len(withdrawn)}, first: {withdrawn[0]}): dated in the future by the source's clock",)
        if withdrawn
        else ()
    )
    unused = [(one.receipt, one.newer) for one in committed if one.newer]
    if not unused:
        return notes
    older, in_use = max(unused, key=lambda pair: pair[1].extracted_at)
    return (
        *notes,
        f"kept and not used (units: {len(unused)}, first: {unused[0][0].unit}): this answer is of "
        f"{older.extracted_at.isoformat()} by the source's clock, older than what is in use, of "
        f"{in_use.extracted_at.isoformat()}; if that clock was ahead then, extract again after that instant",
    )


def refuse_older(
    drafts: Iterable[Draft], in_use: Mapping[str, Receipt], entity: Entity, believed_until: datetime
) -> None:
    """Refuse an answer that is dated long before what is in use: it would be landed and never be used.

    What is dated after `believed_until` is no measure: its own clock was wrong.

    Raises:
        RefusedError: a person says which clock is right.

    """
    for draft in drafts:
        used = in_use.get(draft.unit)
        if used is None or used.digest == draft.digest or used.extracted_at > believed_until:
            continue
        if used.extracted_at - draft.extracted_at > MAX_CLOCK_SKEW:
            raise RefusedError(
                f"{entity} {draft.unit}: expected an answer at most a day older than what is in use, of "
                f"{used.extracted_at.isoformat()}, got one of {draft.extracted_at.isoformat()} by the source's clock. "
                f"Nothing was changed. Have that clock corrected{_OTHER_CLOCK.get(entity.declaration.source, '')}"
            )


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
