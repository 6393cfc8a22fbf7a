"""Markers, the watermark of publishing: which landing of each unit `main` holds, under which rules.

    published/<entity>/<unit>.json        one a unit, and one named `head` that is written last

Markers are written after `main` has moved. Until then the manifest of main's newest batch stands in for them, so no
kill can come between.
"""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from deftunes.core import layout
from deftunes.core.entities import Entity
from deftunes.state.manifest import Manifest

if TYPE_CHECKING:
    from deftunes.adapters.lake import JsonObject, Lake

_HEAD = "head"
_THREADS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Marker:
    """What `main` holds of a unit: nothing where `landing` is empty."""

    landing: str = ""
    rules: str = ""
    links: tuple[date, ...] = ()  # other days that hold a session which this day holds, too


def read_markers(lake: "Lake", entity: Entity, published: Manifest | None, units: Iterable[str]) -> dict[str, Marker]:
    """The marker of each unit; `published` is the manifest of main's newest batch."""

    def read(unit: str) -> Marker:
        if published and unit in published.landings:
            return _parse(_marker_of(published, unit))
        return _parse(lake.get_json(layout.published_key(entity, unit)) or {})

    units = tuple(units)
    with ThreadPoolExecutor(_THREADS) as pool:
        return dict(zip(units, pool.map(read, units), strict=True))


def linked_days(lake: "Lake", entity: Entity, published: Manifest | None, days: Iterable[date]) -> frozenset[date]:
    """`days`, and every day that an earlier batch found linked with one of them by a session, until none is added.

    A linked day gets new markers from the batch: a day linked with it that stayed out of the batch would be forgotten.
    """
    found: frozenset[date] = frozenset()
    added = frozenset(days)
    while added:
        found |= added
        markers = read_markers(lake, entity, published, map(layout.day_unit, added))
        added = frozenset(day for marker in markers.values() for day in marker.links) - found
    return found


def is_marked(lake: "Lake", manifest: Manifest) -> bool:
    """Whether the markers of this batch, main's newest, have all been written."""
    return lake.get_json(layout.published_key(manifest.entity, _HEAD)) == {"batch_id": manifest.batch_id}


def write_markers(lake: "Lake", manifest: Manifest) -> None:
    """Write for every unit what `main` holds now; the head marker last, so that a half-written set is written again."""

    def write(unit: str) -> None:
        lake.put_json(layout.published_key(manifest.entity, unit), _marker_of(manifest, unit))

    with ThreadPoolExecutor(_THREADS) as pool:
        list(pool.map(write, manifest.landings))
    lake.put_json(layout.published_key(manifest.entity, _HEAD), {"batch_id": manifest.batch_id})


def _parse(stored: "JsonObject") -> Marker:
    return Marker(
        landing=stored.get("landing", ""),
        rules=stored.get("rules", ""),
        links=tuple(map(date.fromisoformat, stored.get("shares", ()))),
    )


def _marker_of(manifest: Manifest, unit: str) -> "JsonObject":
    shares = {} if manifest.entity.is_snapshot else {"shares": manifest.links.get(unit[:10], [])}
    return {
        "landing": manifest.landings[unit],
        "rules": manifest.rules,
        "batch_id": manifest.batch_id,
        **shares,
    }
