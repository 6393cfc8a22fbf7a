"""Songs: the chain of landings since main's -> changed rows and deletions, merged into one row per track_id.

    full | changes since the landing that main holds -> collapse -> conflicts -> rules -> compare with main

Normally the newest landing alone is read. After a change of rules, or when main holds none of the chain, the chain is
read back to its last full landing: for each track the newest landing that has it speaks. The statements are in
`sql/songs.sql`.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from deftunes.core import layout
from deftunes.core.dqdl import texts
from deftunes.core.engine import Objects, SameKey
from deftunes.core.entities import Entity
from deftunes.core.progress import begin_count
from deftunes.core.records import decode, encode
from deftunes.state.landings import Landings
from deftunes.transform.numbers import TypedSongs, json_number, only_keys, song_columns
from deftunes.transform.statements import Statements, columns, instant
from deftunes.transform.validation import RejectedRecord, Validation
from deftunes.transform.work import Work

if TYPE_CHECKING:
    from deftunes.adapters.lake import Lake
    from deftunes.core.engine import Engine
    from deftunes.core.rules import Ruleset
    from deftunes.state.batches import Batch
    from deftunes.state.landings import Receipt
    from deftunes.state.manifest import Manifest

_TYPES = Entity.SONGS.declaration.sent_types
_COLUMNS = song_columns(_TYPES)
# How the names of a landing's parts begin.
_PART, _KEYS, _WRITTEN = "part-", "keys-", "written-"


def prepare(engine: "Engine", lake: "Lake", batch: "Batch", rules: "Ruleset") -> Work:
    """The songs that the chain of landings changes."""
    newest = batch.landings[layout.SNAPSHOT]
    statements = prepare_statements(newest, batch.id)
    chain = chain_since(Landings(lake, Entity.SONGS), newest, batch.published, batch.rules)
    validation = validate(engine, statements, chain, rules)
    engine.silver("main", Entity.SONGS, batch.base)
    find_changes(engine, statements, chain)
    return Work(
        validation=validation,
        receipts=tuple(chain),
        rows=statements("silver"),
        replaced=SameKey("track_id"),
        notes=_missed(engine, statements, newest) if _is_check(batch, newest) else (),
    )


def prepare_statements(newest: "Receipt", batch_id: str) -> Statements:
    """The statements for the batch of a chain whose newest landing this is."""
    return Statements(
        Entity.SONGS,
        sent=columns(_TYPES),
        landed=columns(_COLUMNS),
        instant=instant(newest.extracted_at),
        batch_id=batch_id,
    )


def _is_check(batch: "Batch", newest: "Receipt") -> bool:
    """Whether `newest` says what was written since the landing that `main` holds, validated as now.

    Of conflicting rows `main` holds none, or one from before the conflict: it may differ without being wrong.
    """
    published = batch.published
    if published is None or published.conflicting or published.rules != batch.rules:
        return False
    return newest.source.get("check") == published.landings[layout.SNAPSHOT]


def _missed(engine: "Engine", statements: Statements, newest: "Receipt") -> tuple[str, ...]:
    """A sentence where songs differ from `main` that nothing wrote since: an increment before has missed them."""
    _land_keys(engine, "written", newest, _WRITTEN)
    engine.keep("missed", statements("missed"))
    count = engine.row(statements("missed_songs"))["songs"]
    if not count:
        return ()
    first = ", ".join(row["track_id"] for row in engine.rows(statements("first_missed")))
    return (
        f"WRONG IN MAIN UNTIL NOW: {count} songs differ from the source although nothing wrote them since the landing "
        f"before (first: {first}). This batch mends them; docs/runbook.md says what to look for",
    )


def chain_since(landings: "Landings", newest: "Receipt", published: "Manifest | None", rules: str) -> "list[Receipt]":
    """The landings to read, oldest first: from after the one `main` holds under these rules, else from a full one."""
    published_key = published.landings[layout.SNAPSHOT] if published and published.rules == rules else None
    chain = [newest]
    while chain[0].source["kind"] != "full" and chain[0].source["base"] != published_key:
        chain.insert(0, landings.read(chain[0].source["base"]))
    return chain


def validate(engine: "Engine", statements: Statements, chain: "Sequence[Receipt]", rules: "Ruleset") -> Validation:
    """Accept or reject every song of the chain of landings."""
    landed = [
        Objects(_parts(receipt, _PART), TypedSongs(_TYPES, place, receipt.key).batches)
        for place, receipt in enumerate(chain)
    ]
    begin_count("songs")
    engine.land("landed", _COLUMNS, landed)
    # Nearly all tracks come once: only the others are sorted out, so that a million songs are not, for a few.
    engine.keep("several", statements("several"))
    row_rules = rules.row_rules(_TYPES)
    engine.define("counted", statements("counted"))
    engine.keep("songs", statements("songs", rules=engine.broken("counted", row_rules)))
    counts = engine.row(statements("counts"))

    def read_rejected() -> Iterator[RejectedRecord]:
        for row in engine.rows(statements("rejected")):
            yield RejectedRecord(row["landing"], _record(row), texts(row_rules, row["reasons"]))

    def read_accepted(keys: Sequence[str]) -> Iterator[str]:
        engine.values("wanted", "track_id", keys)
        return map(_record, engine.rows(statements("accepted")))

    return Validation(
        read_rejected=read_rejected,
        read_accepted=read_accepted,
        received=counts["received"],
        rejected=counts["rejected"],
        records_rejected=counts["rejected"],
        source_rows=chain[-1].source["rows"],
        conflicting=counts["conflicting"],
    )


def find_changes(engine: "Engine", statements: Statements, chain: "Sequence[Receipt]") -> None:
    """The table `changes`: rows that differ from `main` (new, changed, back again, deleted); no other is rewritten.

    The newest landing that lists all keys speaks of deletions; a landing after it without such a list changed no key. A
    chain of several landings has songs that the source deleted after they were landed: the keys leave them out.
    """
    engine.define("changed", statements("changed"))
    listing = [receipt for receipt in chain if receipt.source["kind"] == "full" or _parts(receipt, _KEYS)]
    if not listing:
        engine.keep("changes", "select * from changed")
        return
    newest = listing[-1]
    _land_keys(engine, "keys", newest, _PART if newest.source["kind"] == "full" else _KEYS)
    engine.keep("changes", statements("changed_of_keys"))


def _land_keys(engine: "Engine", name: str, receipt: "Receipt", kind: str) -> None:
    engine.land(name, {"track_id": "string"}, [Objects(_parts(receipt, kind), only_keys)])


def _parts(receipt: "Receipt", kind: str) -> tuple[str, ...]:
    return tuple(part.key for part in receipt.parts if part.key.rpartition("/")[2].startswith(kind))


def _record(row: Mapping[str, Any]) -> str:
    """The song as landed, as JSON."""
    as_landed = decode(row["as_landed"]) if row["as_landed"] else {}
    return encode({name: as_landed.get(name, json_number(row[name])) for name in _TYPES}).decode()
