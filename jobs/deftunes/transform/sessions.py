"""Sessions: landed days -> items, typed and validated; a batch replaces exactly its days.

    lines -> conform -> collapse identical -> conflicts -> session rules -> newest day wins -> item rules

A session that turns up under another day belongs to its newest extraction; every day that holds it is in the same
batch, so the old day loses it in the same commit. That makes the outcome independent of the order of runs. The
statements are in `sql/sessions.sql`.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from deftunes.core import layout
from deftunes.core.dqdl import texts
from deftunes.core.engine import Between
from deftunes.core.entities import Entity
from deftunes.core.interval import ONE_DAY, Interval, midnight, runs_of
from deftunes.state.landings import Landings
from deftunes.state.markers import linked_days
from deftunes.transform.conform import item_records, session_rows
from deftunes.transform.statements import Statements, columns
from deftunes.transform.validation import RejectedRecord, Validation, expect_records, land_records, unknown_fields
from deftunes.transform.work import Work

if TYPE_CHECKING:
    from deftunes.adapters.lake import Lake
    from deftunes.core.engine import Engine
    from deftunes.core.rules import Ruleset
    from deftunes.state.batches import Batch
    from deftunes.state.landings import Receipt

Row = Mapping[str, Any]
_DECLARED = Entity.SESSIONS.declaration
_SENT = columns(_DECLARED.sent_types)
_ITEM_COLUMNS = {column.name: column.type for column in _DECLARED.columns if column.of_item}
_SESSION_COLUMNS = {column.name: column.type for column in _DECLARED.columns if not column.of_item}
_COLUMNS = {
    "digest": "binary",
    "record": "string",  # of the session's own row only
    "item_count": "int",
    "unknown": "string",
    "problems": "string",
    **_SESSION_COLUMNS,
    **_ITEM_COLUMNS,
}


def prepare(engine: "Engine", lake: "Lake", batch: "Batch", rules: "Ruleset") -> Work:
    """The items of the batch's days, and of the days linked with them."""
    statements = Statements(Entity.SESSIONS, sent=_SENT, batch_id=batch.id)
    dated = {unit for unit in batch.pending if layout.is_dated(unit)}
    days = frozenset(map(layout.day_of_unit, dated)) | batch.linked_days
    # Records without a readable time belong to no day: they only go to quarantine.
    undated = tuple(batch.landings[unit] for unit in batch.pending if unit not in dated)
    while True:
        receipts = (*_receipts_of(lake, batch, days), *undated)
        parse(engine, statements, receipts)
        added = newly_linked_days(engine, statements, batch.base, days) if days and batch.base is not None else None
        if not added:
            break
        # Their sessions turned up on these days: the old days are read again and decide together with the new ones.
        days |= linked_days(lake, batch.entity, batch.published, added)
    expect_records(receipts, int(engine.row(statements("read"))["records"]))
    return Work(
        validation=validate(engine, statements, rules),
        receipts=receipts,
        rows=statements("silver"),
        replaced=within(days) if days else None,
        days=tuple(sorted(days)),
        links=links_between_days(engine, statements) if len(days) > 1 else {},
    )


def _receipts_of(lake: "Lake", batch: "Batch", days: frozenset[date]) -> "tuple[Receipt, ...]":
    """The batch's own landings of these days; of days linked with them, the ones in use."""
    found = batch.landings
    linked = sorted(day for day in days if layout.day_unit(day) not in found)
    if linked:
        interval = Interval(linked[0], linked[-1] + ONE_DAY)
        found = {**Landings(lake, batch.entity).in_use_between(interval), **found}
    return tuple(found[unit] for unit in map(layout.day_unit, sorted(days)) if unit in found)


def parse(engine: "Engine", statements: Statements, receipts: "Iterable[Receipt]") -> None:
    """The table `parsed`: one row per session and one per item, identical records of one landing collapsed."""
    land_records(engine, receipts, session_rows, _COLUMNS)
    engine.keep("parsed", statements("parsed"))


def newly_linked_days(
    engine: "Engine", statements: Statements, base: int | None, days: Iterable[date]
) -> frozenset[date]:
    """Days outside `days` whose rows in `main` belong to sessions of this batch: they decide together."""
    engine.keep("landed_ids", statements("landed_ids"))
    columns_read = ("session_id", "session_start_time")
    engine.silver("elsewhere", Entity.SESSIONS, base, columns=columns_read, outside=within(days))
    return frozenset(row["day"] for row in engine.rows(statements("displaced")))


def links_between_days(engine: "Engine", statements: Statements) -> dict[str, list[str]]:
    """For each day that holds a session another day of the batch holds too: those other days."""
    links: dict[str, list[str]] = {}
    for row in engine.rows(statements("links")):
        links.setdefault(row["day"], []).append(row["other"])
    return {day: sorted(others) for day, others in sorted(links.items())}


def within(days: Iterable[date]) -> Between:
    """The rows whose session starts in one of these UTC days, as ranges that Iceberg maps to partitions."""
    return Between("session_start_time", tuple((midnight(run.start), midnight(run.end)) for run in runs_of(days)))


def validate(engine: "Engine", statements: Statements, rules: "Ruleset") -> Validation:
    """Accept or reject every session, then every item of the accepted ones; counted in items.

    What belongs to no day is rejected and not counted.
    """
    of_sessions = rules.row_rules(_SESSION_COLUMNS)
    of_items = rules.row_rules(_COLUMNS).without(of_sessions)
    engine.define("counted", statements("counted"))
    engine.keep("sessions", statements("sessions", session_rules=engine.broken("counted", of_sessions)))
    engine.define("winners", statements("winners"))
    engine.define("sold", statements("sold"))
    engine.keep("items", statements("items", item_rules=engine.broken("sold", of_items)))
    counts = engine.row(statements("counts"))
    items = engine.row(statements("items_rejected"))

    def read_rejected() -> Iterator[RejectedRecord]:
        for row in engine.rows(statements("rejected_sessions")):
            yield RejectedRecord(row["landing"], row["record"], texts(of_sessions, row["reasons"]))
        yield from _item_records(engine, statements, "rejected_items", of_items)

    def read_accepted(keys: Sequence[str]) -> Iterator[str]:
        engine.values("keys", "session_id", keys)
        for row in engine.rows(statements("accepted_sessions")):
            yield row["record"]
        for item in _item_records(engine, statements, "accepted_items", of_items):
            yield item.record

    return Validation(
        read_rejected=read_rejected,
        read_accepted=read_accepted,
        received=int(counts["received"]),
        rejected=int(counts["rejected"]) + items["items"],
        records_rejected=counts["sessions_rejected"] + items["sessions"],
        conflicting=counts["conflicting"],
        unknown_fields=unknown_fields(engine.rows(statements("unknown"))),
    )


def _item_records(engine: "Engine", statements: Statements, name: str, rules: "Ruleset") -> Iterator[RejectedRecord]:
    """What quarantine keeps of items: each with its place and its session's keys.

    A session's own record is read once, however many of its items are asked for: their number is the source's choice.
    """
    of_session = itemgetter("unit", "digest")
    items = groupby(engine.rows(statements(name)), of_session)
    sessions = engine.rows(statements("records_of", items=statements(name)))
    # Both are in the order of their sessions.
    for (session, group), sent in zip(items, sessions, strict=True):
        assert session == of_session(sent)
        rows = list(group)
        records = item_records(sent["record"], [row["item_number"] for row in rows])
        for row, record in zip(rows, records, strict=True):
            yield RejectedRecord(row["landing"], record, texts(rules, row["reasons"]))
