"""The landing zone: what a source sent, one folder per landing, and the receipt that makes it count.

    parts are uploaded, then the receipt        no receipt, no landing
    landing/<entity>/<unit>/<extracted_at>-<sequence>-<digest>/{part-*, receipt.json}

A unit is what is landed, compared and replaced as a whole: a UTC day of events, or a snapshot. The landing in use
of a unit is the newest by `extracted_at`. A landing is never changed or deleted, so dying anywhere in here costs a
retry and nothing else, and a re-extract cannot harm the good landing before it. One that turns out to be dated in the
future is withdrawn: it stays, and counts no more.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Self

from deftunes.adapters.lake import JsonObject, Lake
from deftunes.core import layout
from deftunes.core.entities import Entity
from deftunes.core.errors import DeftunesError
from deftunes.core.failpoints import Failpoint, crash_point
from deftunes.core.interval import Interval


@dataclass(frozen=True, slots=True)
class Part:
    """One object of a landing. `sha256` is over the bytes as stored."""

    key: str
    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Receipt:
    """What was asked, what came and when. `source` holds what only the entity's extract understands (its cursor)."""

    entity: Entity
    unit: str
    interval: Interval
    extracted_at: datetime
    sequence: int
    digest: str
    rows: int
    parts: tuple[Part, ...]
    requests: tuple[str, ...] = ()
    source: JsonObject = field(default_factory=dict)

    @property
    def key(self) -> str:
        """The landing's folder: its identity everywhere."""
        return layout.landing_key(self.entity, self.unit, self.extracted_at, self.sequence, self.digest)

    def to_json(self) -> JsonObject:
        """As stored in the receipt object."""
        return {
            **asdict(self),
            "interval": [self.interval.start.isoformat(), self.interval.end.isoformat()],
            "extracted_at": self.extracted_at.astimezone(UTC).isoformat(),
        }

    @classmethod
    def from_json(cls, value: JsonObject) -> Self:
        """The inverse of `to_json`."""
        start, end = value["interval"]
        return cls(
            entity=Entity(value["entity"]),
            unit=value["unit"],
            interval=Interval(date.fromisoformat(start), date.fromisoformat(end)),
            extracted_at=datetime.fromisoformat(value["extracted_at"]),
            sequence=value["sequence"],
            digest=value["digest"],
            rows=value["rows"],
            parts=tuple(Part(**part) for part in value["parts"]),
            requests=tuple(value["requests"]),
            source=value["source"],
        )


@dataclass(frozen=True, slots=True)
class Draft:
    """A landing on this machine's disk, checked but not yet committed. `files`: (path, rows), in order."""

    unit: str
    extracted_at: datetime
    digest: str
    rows: int
    files: tuple[tuple[Path, int], ...]
    requests: tuple[str, ...] = ()
    source: JsonObject = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Committed:
    """What became of a draft: `new` or not, `receipt` is the landing that holds its content.

    `newer` is the landing that stays in use where this one is older by the source's clock: kept beside it, not used.
    `withdrawn` are the folders of landings that count no more.
    """

    receipt: Receipt
    new: bool
    newer: Receipt | None = None
    withdrawn: tuple[str, ...] = ()


class Landings:
    """The landings of one entity."""

    def __init__(self, lake: Lake, entity: Entity) -> None:
        self._lake = lake
        self.entity = entity

    def in_use(self, unit: str) -> Receipt | None:
        """The landing in use of one unit."""
        return self._newest(self._lake.keys(f"{layout.landings_prefix(self.entity)}{unit}/")).get(unit)

    def in_use_between(self, interval: Interval) -> dict[str, Receipt]:
        """The landings in use of every unit of the interval's days, by unit; costs the interval, not the history."""
        prefix = layout.landings_prefix(self.entity)
        stop = prefix + layout.day_unit(interval.end)

        def keys() -> Iterable[str]:
            for key in self._lake.keys(prefix, after=prefix + layout.day_unit(interval.start)):
                if key >= stop:
                    return
                yield key

        return self._newest(keys())

    def read(self, key: str) -> Receipt:
        """The receipt of the landing in folder `key`."""
        value = self._lake.get_json(f"{key}/{layout.RECEIPT}")
        if value is None:
            raise LookupError(f"no receipt in {key}")
        try:
            return Receipt.from_json(value)
        except (KeyError, TypeError, ValueError) as error:
            raise DeftunesError(
                f"expected a receipt at {self._lake.uri(f'{key}/{layout.RECEIPT}')}, got one that lacks a field or has "
                f"another value in it ({type(error).__name__}): was the lake changed by hand? Restore the object (the "
                "bucket is versioned)"
            ) from error

    def withdrawn(self, unit: str) -> list[str]:
        """The folders of a unit's landings that were withdrawn."""
        return sorted(self._listed(self._lake.keys(f"{layout.landings_prefix(self.entity)}{unit}/"))[1])

    def commit(self, draft: Draft, interval: Interval, *, believed_until: datetime | None = None) -> Committed:
        """Land a draft, unless the landing in use holds the same already.

        A draft older than the landing in use is kept beside it and not used: the newest by the source's clock holds.
        But no clock is ahead of `believed_until`: a landing that is dated later is withdrawn, once this one counts.
        """
        folders, _ = self._listed(self._lake.keys(f"{layout.landings_prefix(self.entity)}{draft.unit}/"))
        misdated = [
            folder for folder in folders if believed_until and layout.instant_of_landing(folder) > believed_until
        ]
        rest = [folder for folder in folders if folder not in misdated]
        current = self.read(max(rest)) if rest else None
        if current and current.digest == draft.digest:
            committed = Committed(current, new=False)
        else:
            committed = self._write(draft, interval, current)
        for folder in misdated:
            self._lake.put_json(f"{folder}/{layout.WITHDRAWN}", {"instead": committed.receipt.key})
        return replace(committed, withdrawn=tuple(misdated))

    def _write(self, draft: Draft, interval: Interval, current: Receipt | None) -> Committed:
        same_instant = current is not None and current.extracted_at == draft.extracted_at
        sequence = current.sequence + 1 if current and same_instant else 0
        folder = layout.landing_key(self.entity, draft.unit, draft.extracted_at, sequence, draft.digest)
        parts = []
        for path, rows in draft.files:
            part = Part(f"{folder}/{path.name}", rows, path.stat().st_size, _sha256(path))
            self._lake.upload(part.key, path)
            parts.append(part)
        crash_point(Failpoint.LANDING_BEFORE_RECEIPT)
        receipt = Receipt(
            self.entity, draft.unit, interval, draft.extracted_at, sequence, draft.digest, draft.rows,
            tuple(parts), draft.requests, draft.source,
        )  # fmt: skip
        self._lake.put_json(f"{folder}/{layout.RECEIPT}", receipt.to_json())
        crash_point(Failpoint.LANDING_AFTER_RECEIPT)
        return Committed(receipt, new=True, newer=current if current and current.key > receipt.key else None)

    def _newest(self, keys: Iterable[str]) -> dict[str, Receipt]:
        newest: dict[str, str] = {}
        for folder in self._listed(keys)[0]:
            unit = folder.rpartition("/")[0].rpartition("/")[2]
            newest[unit] = max(folder, newest.get(unit, ""))
        return {unit: self.read(folder) for unit, folder in newest.items()}

    def _listed(self, keys: Iterable[str]) -> tuple[list[str], set[str]]:
        """The folders of the landings that count, and of those that were withdrawn."""
        landed: list[str] = []
        withdrawn: set[str] = set()
        for key in keys:
            folder, _, name = key.rpartition("/")
            if not layout.is_landing(folder):  # put there by hand
                continue
            if name == layout.RECEIPT:
                landed.append(folder)
            elif name == layout.WITHDRAWN:
                withdrawn.add(folder)
        return [folder for folder in landed if folder not in withdrawn], withdrawn


def days_to_ask(landings: Landings, asked: Interval, look_back: int) -> tuple[date, ...]:
    """The days of `asked`, and of the `look_back` days before it those that are landed already.

    A day before `asked` that was never landed stays out: a run never adds a day that was not asked for.
    """
    if look_back == 0:
        return tuple(asked.days())
    before = Interval(asked.widened(look_back).start, asked.start)
    landed = landings.in_use_between(before)
    earlier = (day for day in before.days() if layout.day_unit(day) in landed)
    return (*earlier, *asked.days())


def digest_of(record_digests: Iterable[bytes]) -> str:
    """One digest over many records' digests, whatever their order: order is not content."""
    total = hashlib.sha256()
    for digest in sorted(record_digests):
        total.update(digest)
    return total.hexdigest()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
