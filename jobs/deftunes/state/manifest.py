"""Manifests: what each batch is made of and what validating its records found.

batches/<entity>/<batch id>.json        written before the batch's branch, then always the same
"""

from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING, Self

from deftunes.adapters.catalog import Refs
from deftunes.core import layout
from deftunes.core.entities import Entity
from deftunes.core.errors import DeftunesError, RetriableError
from deftunes.core.interval import Interval

if TYPE_CHECKING:
    from deftunes.adapters.lake import JsonObject, Lake

# How the lake spells the fields that the code calls otherwise.
_STORED_AS = {"linked_days": "joined", "links": "shares", "conflicting": "conflicts"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a batch is made of.

    Of events, `days` are those whose rows the batch replaces, `linked_days` the ones of them outside the interval, and
    `links` says for each day which others hold a session that it holds, too. Of users, `mended` are the instants of
    other landings of which the batch removes versions. `received` and `rejected` are in items for sessions;
    `records_rejected` counts a session once.
    """

    entity: Entity
    batch_id: str
    interval: Interval
    landings: dict[str, str]  # unit -> landing folder
    rules: str
    parent: str | None
    days: tuple[date, ...] = ()
    linked_days: tuple[date, ...] = ()
    links: dict[str, list[str]] = field(default_factory=dict)
    conflicting: int = 0  # records that share their key with a different one of the same landing
    received: int = 0
    rejected: int = 0
    records_rejected: int | None = None  # None: by a release that did not count them
    source_rows: int = 0  # what the source holds, where `received` is a part of it
    released: tuple[str, ...] = ()  # records in quarantine that these rules accept
    mended: tuple[datetime, ...] = ()

    def to_json(self) -> "JsonObject":
        """As stored."""
        value = {
            **asdict(self),
            "interval": [self.interval.start.isoformat(), self.interval.end.isoformat()],
            "days": [day.isoformat() for day in self.days],
            "linked_days": [day.isoformat() for day in self.linked_days],
            "mended": [instant.isoformat() for instant in self.mended],
        }
        return {_STORED_AS.get(name, name): each for name, each in value.items()}

    @classmethod
    def from_json(cls, stored: "JsonObject") -> Self:
        """The inverse of `to_json`."""
        fields = {stored_as: name for name, stored_as in _STORED_AS.items()}
        value = {fields.get(name, name): each for name, each in stored.items()}
        start, end = map(date.fromisoformat, value["interval"])
        return cls(
            **{
                **value,
                "entity": Entity(value["entity"]),
                "interval": Interval(start, end),
                "days": tuple(map(date.fromisoformat, value["days"])),
                "linked_days": tuple(map(date.fromisoformat, value["linked_days"])),
                "released": tuple(value["released"]),
                "mended": tuple(map(datetime.fromisoformat, value.get("mended", ()))),
            }
        )


def published_manifest(lake: "Lake", refs: Refs, entity: Entity) -> Manifest | None:
    """The manifest of the newest batch that `main` holds."""
    batch_id = refs.batch_of(refs.main)
    return read_manifest(lake, entity, batch_id) if batch_id else None


def read_manifest(lake: "Lake", entity: Entity, batch_id: str) -> Manifest:
    """The manifest of a batch.

    Raises:
        DeftunesError: it is gone; the lake was changed by hand.
    """
    manifest = find_manifest(lake, entity, batch_id)
    if manifest is None:
        raise DeftunesError(
            f"expected the manifest of batch {batch_id} at {lake.uri(layout.batch_key(entity, batch_id))}, found none: "
            "was the lake changed by hand? Restore the object (the bucket is versioned)"
        )
    return manifest


def find_manifest(lake: "Lake", entity: Entity, batch_id: str) -> Manifest | None:
    """The manifest of a batch, or None where it was never begun."""
    value = lake.get_json(layout.batch_key(entity, batch_id))
    return None if value is None else Manifest.from_json(value)


def write_manifest(lake: "Lake", manifest: Manifest) -> None:
    """Write a batch's manifest: again it says the same, but for `released`, which is what quarantine holds now.

    Raises:
        RetriableError: another run began this batch meanwhile with other landings of its linked days.
    """
    begun = find_manifest(lake, manifest.entity, manifest.batch_id) or manifest
    if (begun.landings, begun.days) != (manifest.landings, manifest.days):
        raise RetriableError(
            f"another run began batch {manifest.batch_id} of {manifest.entity} meanwhile with other landings; "
            "nothing was published"
        )
    lake.put_json(layout.batch_key(manifest.entity, manifest.batch_id), manifest.to_json())
