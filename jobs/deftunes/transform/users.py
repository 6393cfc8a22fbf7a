"""Users: the newest snapshot -> versions; a new version only where the content differs from the newest one before.

    lines -> conform -> collapse identical -> conflicts -> rules -> compare with main

`effective_from` is the landing's `extracted_at`, so a backfill puts no old state on top, and a landing validated again
replaces exactly the versions of its own instant. Versions of other landings go in two cases, in which nothing that the
source sends later would mend them: their landing was withdrawn, or the rules have changed and reject them. The
statements are in `sql/users.sql`.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from deftunes.core import layout
from deftunes.core.dqdl import texts
from deftunes.core.engine import OneOf
from deftunes.core.entities import Entity
from deftunes.core.rules import Ruleset
from deftunes.state.landings import Landings
from deftunes.transform.conform import user_rows
from deftunes.transform.statements import Statements, columns, instant, instants
from deftunes.transform.validation import RejectedRecord, Validation, expect_records, land_records, unknown_fields
from deftunes.transform.work import Work

if TYPE_CHECKING:
    from deftunes.adapters.lake import Lake
    from deftunes.core.engine import Engine
    from deftunes.state.batches import Batch
    from deftunes.state.landings import Receipt

_DECLARED = Entity.USERS.declaration
_COLUMNS = {
    "digest": "binary",
    "record": "string",
    "unknown": "string",
    "problems": "string",
    **_DECLARED.sent_types,
}


def prepare(engine: "Engine", lake: "Lake", batch: "Batch", rules: Ruleset) -> Work:
    """The versions that the newest landing adds."""
    receipt = batch.landings[layout.SNAPSHOT]
    statements = Statements(
        Entity.USERS,
        sent=columns(_DECLARED.sent_types),
        content=columns(_DECLARED.content_types),
        instant=instant(receipt.extracted_at),
        batch_id=batch.id,
    )
    land_records(engine, [receipt], user_rows, _COLUMNS)
    validation = validate(engine, statements, rules)
    expect_records([receipt], int(engine.row(statements("read"))["records"]))
    engine.silver("main", Entity.USERS, batch.base)
    mended = find_mended(engine, statements, _withdrawn_instants(lake, receipt), _new_rules(batch, rules))
    mended = tuple(at for at in mended if at != receipt.extracted_at)
    engine.define("before", statements("before"))
    engine.define("newest", statements("newest"))
    engine.define("changed", statements("changed"))
    rows = statements("silver")
    if mended:
        # Those of the same instants that are right go back as they were.
        rows = f"{rows} union all {statements('put_back', mended=instants(mended))}"
    # Validated again under other rules, a landing replaces its own versions and no others.
    replaced = (receipt.extracted_at, *mended)
    held = engine.row(statements("held", instants=instants(replaced)))["versions"]
    return Work(
        validation=validation,
        receipts=(receipt,),
        rows=rows,
        replaced=OneOf("effective_from", replaced) if held else None,
        mended=mended,
    )


def find_mended(
    engine: "Engine", statements: Statements, withdrawn: Sequence[datetime], new_rules: Ruleset
) -> tuple[datetime, ...]:
    """The table `mistaken`: versions in `main` of withdrawn landings, or that new rules reject. Their instants."""
    broken = engine.broken("main", new_rules.row_rules(_DECLARED.sent_types))
    engine.keep("mistaken", statements("mistaken", withdrawn=instants(withdrawn), new_rules=broken))
    found = (row["effective_from"] for row in engine.rows(statements("mended")))
    return tuple(sorted(at.astimezone(UTC) for at in found))


def _withdrawn_instants(lake: "Lake", receipt: "Receipt") -> list[datetime]:
    folders = Landings(lake, Entity.USERS).withdrawn(layout.SNAPSHOT)
    return sorted({layout.instant_of_landing(folder) for folder in folders} - {receipt.extracted_at})


def _new_rules(batch: "Batch", rules: Ruleset) -> Ruleset:
    """The rules where `main` was validated by others, else none."""
    is_new = batch.published is not None and batch.published.rules != batch.rules
    return rules if is_new else Ruleset(rules.entity, ())


def validate(engine: "Engine", statements: Statements, rules: Ruleset) -> Validation:
    """Accept or reject every user of one landing."""
    row_rules = rules.row_rules(_COLUMNS)
    engine.define("counted", statements("counted"))
    engine.keep("users", statements("users", rules=engine.broken("counted", row_rules)))
    counts = engine.row(statements("counts"))

    def read_rejected() -> Iterator[RejectedRecord]:
        for row in engine.rows(statements("rejected")):
            yield RejectedRecord(row["landing"], row["record"], texts(row_rules, row["reasons"]))

    def read_accepted(keys: Sequence[str]) -> Iterator[str]:
        engine.values("keys", "user_id", keys)
        return (row["record"] for row in engine.rows(statements("accepted")))

    return Validation(
        read_rejected=read_rejected,
        read_accepted=read_accepted,
        received=counts["received"],
        rejected=counts["rejected"],
        records_rejected=counts["rejected"],
        conflicting=counts["conflicting"],
        unknown_fields=unknown_fields(engine.rows(statements("unknown"))),
    )
