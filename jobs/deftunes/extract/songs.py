"""Land the song catalogue: every row the first time, then what changed since the batch that `main` holds.

    deftunes.songs  ->  landing/songs/snapshot/<extracted_at>-<digest>/{part-00000,keys-00000}.parquet + receipt

A landing is `full` (all rows) or `changes`: the rows whose key was written to since the published landing, its base.
The cursor of the base says what was written since only while everything that it is bound to is what it was; otherwise
everything is read. A full read that a usable cursor made unnecessary also lists the keys written since that cursor:
transform compares the other rows with `main`, which must hold them already.

A deletion leaves no row to read, so count and key hashes are compared with the base's; only where they differ the
landing also holds all keys. The base is always the published landing, never merely the newest: a kill between extract
and publish loses nothing, and the next run sends those rows again.

The digest is taken over the Parquet bytes, which follow the order of the table (of the keys, for changes), and not
over sorted records: hashing ten million records one by one takes longer than reading them. The price: the same rows
in another physical order, or written by another version of Parquet's writer, land once more, which is harmless.
"""

import hashlib
import json
import tempfile
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto
from functools import partial
from pathlib import Path

from deftunes.adapters.lake import JsonObject
from deftunes.adapters.songs_session import TABLE
from deftunes.adapters.songs_source import Compared, SongsSnapshot, SongsSource
from deftunes.core import layout
from deftunes.core.clock import MAX_CLOCK_SKEW
from deftunes.core.entities import Entity
from deftunes.core.errors import DeftunesError
from deftunes.core.interval import Interval
from deftunes.extract.landed import Landed, notes_of, refuse_older, refuse_shrunk, units_of
from deftunes.job import Job
from deftunes.resources import Resources
from deftunes.state.landings import Draft, Landings, Receipt

PART = "part-00000.parquet"
KEYS = "keys-00000.parquet"
WRITTEN = "written-00000.parquet"
FULL = "full"
CHANGES = "changes"
# Transaction ids compare on a circle of 2^32: a cursor further behind than half of it looks as if it were ahead. Less
# the transactions that begin while we read, which ages are counted from.
_FURTHEST_BEHIND = (1 << 31) - (1 << 24)


@dataclass(frozen=True, slots=True)
class _Base:
    """The published landing that changes count from, and the catalogue now, compared with it."""

    receipt: Receipt
    cursor: int
    now: Compared

    @property
    def same_keys(self) -> bool:
        source = self.receipt.source
        return (self.now.rows, self.now.keys) == (source["rows"], int(source["keys"]))

    @property
    def unchanged(self) -> bool:
        return self.now.changed == 0 and self.same_keys

    @property
    def most_changed(self) -> bool:
        return 2 * self.now.changed > self.now.rows


class _How(Enum):
    """What is to be landed."""

    UNCHANGED = auto()  # nothing: the published landing is in use and still true
    CHANGES = auto()
    FULL = auto()


def run(resources: Resources, job: Job) -> Landed:
    """Land the catalogue; changes count from the landing that `main` holds."""
    landings = resources.landings(Entity.SONGS)
    published = resources.published_manifest(Entity.SONGS)
    return land_songs(
        resources.songs_source,
        landings,
        job.window.interval,
        published=landings.read(published.landings[layout.SNAPSHOT]) if published else None,
        conflicting=published.conflicting if published else 0,
        full_after=resources.settings.songs_full_after,
        force_full=job.options.full,
        max_shrink=resources.settings.max_shrink,
        accept_shrink=job.options.accept_shrink,
    )


def land_songs(
    source: SongsSource,
    landings: Landings,
    interval: Interval,
    *,
    published: Receipt | None,
    conflicting: int,
    full_after: int,
    force_full: bool = False,
    max_shrink: float,
    accept_shrink: bool = False,
) -> Landed:
    """Land what changed since `published`, the landing whose batch `main` holds, or everything.

    Everything is read where nothing is published, its cursor says nothing about this table, `force_full` asks for it,
    and, if anything changed at all: after `full_after` landings of changes, or when the published batch had
    `conflicting` (two different rows under one key: only all rows tell whether one of them is gone).

    Raises:
        RefusedError: the catalogue shrank by more than the share `max_shrink`, or is far older than the one in use.
        RetriableError: PostgreSQL is away or ended the connection.
        DeftunesError: there is no such table, or not with these columns, or it may not be read, or the server's clock
            is far ahead of ours.

    """
    with tempfile.TemporaryDirectory() as folder, source.snapshot() as songs:
        notes = [f"columns of {TABLE} that are not landed: {', '.join(songs.ignored)}"] if songs.ignored else []
        believed_until = _believed_until(songs)
        in_use = landings.in_use(layout.SNAPSHOT)
        refuse = partial(
            refuse_shrunk,
            landings.entity,
            interval,
            had=in_use.source["rows"] if in_use else 0,
            max_shrink=max_shrink,
            accept_shrink=accept_shrink,
        )
        unusable = _why_unusable(published, songs) if published else None
        usable = published if songs.cursor is not None and not unusable else None
        base = _base(usable, songs) if usable and not force_full else None
        if base:
            refuse(came=base.now.rows)  # before anything is read
        match _decide(base, in_use, conflicting=conflicting, full_after=full_after):
            case _How.UNCHANGED:
                assert in_use
                return Landed(
                    entity=landings.entity,
                    interval=interval,
                    extracted_at=in_use.extracted_at,
                    written=(),
                    unchanged=(layout.SNAPSHOT,),
                    rows=0,
                    bytes=0,
                    notes=(*notes,),
                )
            case _How.CHANGES:
                assert base
                draft = _changes(songs, base, Path(folder))
            case _How.FULL:
                few_changed = base is None or not base.most_changed
                draft = _full(
                    songs,
                    Path(folder),
                    replaces=published.key if published and unusable else "",
                    check=usable if few_changed and not conflicting else None,
                )
                if unusable:
                    notes.append(f"all rows of {TABLE} were read: {unusable}")
        if songs.unreadable:
            notes.append(
                f"rows of {TABLE} that go to quarantine, because their text cannot be given as UTF-8: "
                f"{songs.unreadable} (server encoding {songs.encoding})"
            )
        refuse(came=draft.source["rows"])
        refuse_older([draft], {layout.SNAPSHOT: in_use} if in_use else {}, landings.entity, believed_until)
        committed = landings.commit(draft, interval, believed_until=believed_until)
        notes += notes_of([committed])
        written, unchanged = units_of([committed])
        size = sum(path.stat().st_size for path, _ in draft.files)
    return Landed(
        entity=landings.entity,
        interval=interval,
        extracted_at=committed.receipt.extracted_at,
        written=written,
        unchanged=unchanged,
        rows=draft.rows,
        bytes=size,
        notes=(*notes,),
    )


def _believed_until(songs: SongsSnapshot) -> datetime:
    """How late a landing can be dated. The server's clock may be behind ours; one ahead would shut out later landings.

    Raises:
        DeftunesError: the server's clock says that it is later.

    """
    until = songs.received_at + MAX_CLOCK_SKEW
    if songs.at > until:
        raise DeftunesError(
            f"DEFTUNES_SONGS_DSN: expected a server whose clock is of today, {songs.received_at:%Y-%m-%d} by this "
            f"machine's clock, got {songs.at:%Y-%m-%d}. Nothing was changed; have the clock corrected that is wrong"
        )
    return until


def _decide(base: _Base | None, in_use: Receipt | None, *, conflicting: int, full_after: int) -> _How:
    """How to land; without a base there is nothing that changes could count from."""
    if base is None:
        return _How.FULL
    if base.unchanged:
        # Another landing in use says something else; one without changes takes its place.
        return _How.UNCHANGED if in_use and in_use.key == base.receipt.key else _How.CHANGES
    chain_is_long = base.receipt.source["chain"] >= full_after
    return _How.FULL if conflicting or chain_is_long or base.most_changed else _How.CHANGES


def _base(usable: Receipt, songs: SongsSnapshot) -> _Base:
    cursor = int(usable.source["cursor"])
    return _Base(usable, cursor, songs.compare(cursor))


def _why_unusable(published: Receipt, songs: SongsSnapshot) -> str | None:
    """Why the cursor of `published` says nothing about the catalogue as it is; None: it does, or there never is one."""
    source = published.source
    if source["cursor"] is None or songs.cursor is None:
        both = source["cursor"] is None and songs.cursor is None
        return None if both else "its rows now tell, or no longer tell, what wrote them"
    bound_to = source.get("identity")
    if bound_to is None:
        return "the landing before does not say what its cursor is bound to"
    others = [name for name, fact in songs.identity.items() if fact != bound_to.get(name)]
    if others:
        return f"not as at the landing before: {', '.join(others)}"
    behind = songs.horizon - int(source["cursor"])
    if behind < 0 or _is_before(songs.position, source["position"]):
        return "the server has been set back to before the landing"
    return "too many transactions since the landing before" if behind >= _FURTHEST_BEHIND else None


def _is_before(now: int | None, then: str | None) -> bool:
    """Whether the log is at an earlier place, or nobody can tell any more."""
    return then is not None and (now is None or now < int(then))


def _full(songs: SongsSnapshot, folder: Path, *, replaces: str, check: Receipt | None) -> Draft:
    """All rows.

    `replaces` is the published landing whose cursor is of no use: the same rows are landed again, for a cursor that is.
    `check` is the published landing whose cursor is usable.
    """
    part = folder / PART
    now = songs.write_all(part)
    files = [(part, now.rows)]
    if check:
        written = folder / WRITTEN
        files.append((written, songs.write_keys(written, since=int(check.source["cursor"]))))
    bound_to = json.dumps(songs.identity) if songs.cursor is not None else ""
    return Draft(
        layout.SNAPSHOT,
        songs.at,
        _digest([FULL, bound_to, replaces], part),
        now.rows,
        tuple(files),
        (f"{TABLE}: all rows",),
        _state(songs, now, {"kind": FULL, "base": None, "chain": 0, "check": check.key if check else None}),
    )


def _changes(songs: SongsSnapshot, base: _Base, folder: Path) -> Draft:
    part = folder / PART
    rows = songs.write_changed(base.cursor, part)
    files = [(part, rows)]
    if not base.same_keys:
        keys = folder / KEYS
        files.append((keys, songs.write_keys(keys)))
    return Draft(
        layout.SNAPSHOT,
        songs.at,
        _digest([CHANGES, base.receipt.key, str(base.now.rows), str(base.now.keys)], part),
        rows,
        tuple(files),
        (f"{TABLE}: rows written since transaction {base.cursor}",),
        _state(
            songs,
            base.now,
            {"kind": CHANGES, "base": base.receipt.key, "chain": base.receipt.source["chain"] + 1},
        ),
    )


def _state(songs: SongsSnapshot, now: Compared, kind: JsonObject) -> JsonObject:
    # Numbers beyond 2^53 as text: not every reader of JSON keeps them.
    return {
        **kind,
        "cursor": None if songs.cursor is None else str(songs.cursor),
        "identity": songs.identity,
        "position": None if songs.position is None else str(songs.position),
        "rows": now.rows,
        "keys": str(now.keys),
    }


def _digest(meaning: list[str], part: Path) -> str:
    total = hashlib.sha256("\n".join(meaning).encode())
    with part.open("rb") as file:
        total.update(hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()
