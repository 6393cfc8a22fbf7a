"""Land the song catalogue: every row the first time, then what changed since the batch that `main` holds.

    deftunes.songs  ->  landing/songs/snapshot/<extracted_at>-<digest>/{part-00000,keys-00000}.parquet + receipt

A landing is `full` (all rows) or `changes`: the rows whose key was written to since the published landing, its base.
A deletion leaves no row to read, so count and key hashes are compared with the base's; only where they differ the
landing also holds all keys. The base is always the published landing, never merely the newest: a kill between extract
and publish loses nothing, and the next run sends those rows again.

The digest is taken over the Parquet bytes, which follow the order of the table (of the keys, for changes), and not
over sorted records: hashing ten million records one by one takes longer than reading them. The price: the same rows
in another physical order, or written by another version of Parquet's writer, land once more, which is harmless.
"""

import hashlib
import tempfile
from dataclasses import dataclass
from enum import Enum, auto
from functools import partial
from pathlib import Path

from deftunes.adapters.lake import JsonObject
from deftunes.adapters.songs_source import TABLE, Compared, SongsSnapshot, SongsSource
from deftunes.core import layout
from deftunes.core.entities import Entity
from deftunes.core.interval import Interval
from deftunes.extract.landed import Landed, notes_of, refuse_shrunk, units_of
from deftunes.job import Job
from deftunes.resources import Resources
from deftunes.state.landings import Draft, Landings, Receipt

PART = "part-00000.parquet"
KEYS = "keys-00000.parquet"
FULL = "full"
CHANGES = "changes"
# Transaction ids compare on a circle of 2^32: a cursor further behind than half of it looks as if it were ahead.
_HALF_CIRCLE = 1 << 31


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
        RefusedError: the catalogue shrank by more than the share `max_shrink`.
        RetriableError: PostgreSQL is away or ended the connection.
        DeftunesError: there is no such table, or not with these columns, or it may not be read.

    """
    with tempfile.TemporaryDirectory() as folder, source.snapshot() as songs:
        notes = [f"columns of {TABLE} that are not landed: {', '.join(songs.ignored)}"] if songs.ignored else []
        in_use = landings.in_use(layout.SNAPSHOT)
        refuse = partial(
            refuse_shrunk,
            landings.entity,
            interval,
            had=in_use.source["rows"] if in_use else 0,
            max_shrink=max_shrink,
            accept_shrink=accept_shrink,
        )
        base = None if force_full else _base(published, songs)
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
                draft = _full(songs, Path(folder))
        refuse(came=draft.source["rows"])
        committed = landings.commit(draft, interval)
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


def _decide(base: _Base | None, in_use: Receipt | None, *, conflicting: int, full_after: int) -> _How:
    """How to land; without a base there is nothing that changes could count from."""
    if base is None:
        return _How.FULL
    if base.unchanged:
        # Another landing in use says something else; one without changes takes its place.
        return _How.UNCHANGED if in_use and in_use.key == base.receipt.key else _How.CHANGES
    chain_is_long = base.receipt.source["chain"] >= full_after
    most_changed = 2 * base.now.changed > base.now.rows
    return _How.FULL if conflicting or chain_is_long or most_changed else _How.CHANGES


def _base(published: Receipt | None, songs: SongsSnapshot) -> _Base | None:
    """The published landing with the catalogue compared to it, or None if its cursor says nothing about this one."""
    if published is None or published.source["cursor"] is None or songs.cursor is None:
        return None
    cursor = int(published.source["cursor"])
    same_table = (published.source["server"], published.source["table"]) == (songs.server, songs.table)
    if not same_table or cursor > songs.horizon or songs.horizon - cursor >= _HALF_CIRCLE:
        return None
    return _Base(published, cursor, songs.compare(cursor))


def _full(songs: SongsSnapshot, folder: Path) -> Draft:
    part = folder / PART
    now = songs.write_all(part)
    return Draft(
        layout.SNAPSHOT,
        songs.at,
        _digest([FULL], part),
        now.rows,
        ((part, now.rows),),
        (f"{TABLE}: all rows",),
        _state(songs, now, {"kind": FULL, "base": None, "chain": 0}),
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
        "server": songs.server,
        "table": songs.table,
        "rows": now.rows,
        "keys": str(now.keys),
    }


def _digest(meaning: list[str], part: Path) -> str:
    total = hashlib.sha256("\n".join(meaning).encode())
    with part.open("rb") as file:
        total.update(hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()
