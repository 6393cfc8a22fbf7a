"""Silver as its readers meet it, written by PyIceberg: tables, batch ids, manifests. No JVM.

`Silver` does to `main` what a published batch does, and keeps the same rows in memory, so that a test can compare.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyiceberg.expressions import AlwaysTrue, BooleanExpression
from pyiceberg.expressions.parser import parse
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.table import Table

from deftunes.adapters.lake import Lake
from deftunes.core import layout
from deftunes.core.entities import Entity
from deftunes.core.interval import Interval
from deftunes.state import schema as declared
from deftunes.state.manifest import Manifest, write_manifest
from deftunes.state.tables import iceberg_schema, partition_spec
from support.ids import artist_id, session_id, track_id, user_id

Record = dict[str, Any]
T0 = datetime(2025, 1, 1, tzinfo=UTC)


def song_row(number: int, **overrides: object) -> Record:
    """A catalogue row."""
    return {
        "track_id": track_id(number),
        "title": f"Title {number}",
        "song_id": f"SO{number:016d}",
        "release": f"Release {number}",
        "artist_id": artist_id(number),
        "artist_mbid": None,
        "artist_name": f"Artist {number}",
        "duration": 200.5,
        "artist_familiarity": 0.5,
        "artist_hotttnesss": None,
        "year": 1990 + number % 20,
        "track_7digitalid": number,
        "shs_perf": -1,
        "shs_work": 0,
        "is_deleted": False,
        **overrides,
    }


def user_version(number: int, **overrides: object) -> Record:
    """A version of a user, without its instant."""
    return {
        "user_id": user_id(number),
        "user_name": f"Name {number}",
        "user_lastname": f"Lastname {number}",
        "latitude": Decimal("12.50000000"),
        "longitude": Decimal("-3.25000000"),
        "place_name": "Place",
        "country_code": ("BR", "DE", "JP", "US")[number % 4],
        "timezone": "Europe/Berlin",
        "user_since": T0 - timedelta(days=365),
        **overrides,
    }


def session_item(
    session: int, item: int = 1, *, at: datetime, buyer: int = 1, track: int = 1, **overrides: object
) -> Record:
    """An item of a session."""
    return {
        "session_id": session_id(session),
        "item_number": item,
        "user_id": user_id(buyer),
        "track_id": track_id(track),
        "song_name": f"Title {track}",
        "artist_id": artist_id(track),
        "artist_name": f"Artist {track}",
        "price": Decimal("1.25"),
        "currency": "USD",
        "liked": False,
        "liked_since": None,
        "user_agent": "agent/1.0",
        "session_start_time": at,
        **overrides,
    }


@dataclass
class Silver:
    """Silver's tables and their manifests; `rows` is what `main` holds, by entity."""

    catalog: Catalog
    lake: Lake
    rows: dict[Entity, list[Record]] = field(default_factory=lambda: {entity: [] for entity in Entity})
    batches: int = 0

    def create(self) -> "Silver":
        """Make the empty tables."""
        self.catalog.create_namespace_if_not_exists(layout.DATABASE)
        for entity in Entity:
            self.table(entity)
        return self

    def table(self, entity: Entity) -> Table:
        """The table, made if it is missing."""
        return self._made(declared.TABLES[entity])

    def quarantine(self) -> Table:
        """The quarantine, made if it is missing."""
        return self._made(declared.QUARANTINE)

    def _made(self, table: declared.SilverTable) -> Table:
        schema = iceberg_schema(table)
        return self.catalog.create_table_if_not_exists(
            (layout.DATABASE, table.name),
            schema,
            location=self.lake.uri(f"{layout.WAREHOUSE_PREFIX}/{table.name}"),
            partition_spec=partition_spec(table, schema),
            properties={"format-version": "2"},
        )

    def upsert_songs(self, songs: Iterable[Record], *, at: datetime = T0) -> str:
        """Insert or replace songs by track."""
        arriving = list(songs)
        tracks = {row["track_id"] for row in arriving}
        kept = [row for row in self.rows[Entity.SONGS] if row["track_id"] not in tracks]
        replaced = f"track_id in ({_literals(tracks)})" if len(kept) < len(self.rows[Entity.SONGS]) else None
        return self._publish(Entity.SONGS, kept, arriving, replaced, at=at)

    def replace_user_versions(self, users: Iterable[Record], *, at: datetime) -> str:
        """The versions of the landing of instant `at`: they take the place of those of the same instant."""
        arriving = [{**row, "effective_from": at} for row in users]
        kept = [row for row in self.rows[Entity.USERS] if row["effective_from"] != at]
        replaced = f"effective_from = '{at.isoformat()}'" if len(kept) < len(self.rows[Entity.USERS]) else None
        return self._publish(Entity.USERS, kept, arriving, replaced, at=at)

    def replace_days(self, days: Mapping[date, Iterable[Record]], *, at: datetime = T0) -> str:
        """Replace whole days; a session that turns up in them leaves the day it was in before."""
        arriving = [row for rows in days.values() for row in rows]
        sessions = {row["session_id"] for row in arriving}
        before = self.rows[Entity.SESSIONS]
        linked = {_day(row) for row in before if row["session_id"] in sessions} - set(days)
        replaced_days = set(days) | linked
        rejoin = [row for row in before if _day(row) in linked and row["session_id"] not in sessions]
        kept = [row for row in before if _day(row) not in replaced_days]
        replaced = (
            None
            if len(kept) == len(before)
            else " or ".join(
                f"(session_start_time >= '{begin.isoformat()}' and "
                f"session_start_time < '{(begin + timedelta(days=1)).isoformat()}')"
                for begin in (datetime.combine(day, time(), UTC) for day in sorted(replaced_days))
            )
        )
        return self._publish(
            Entity.SESSIONS, kept, [*rejoin, *arriving], replaced, at=at,
            days=tuple(sorted(replaced_days)), linked_days=tuple(sorted(linked)),
        )  # fmt: skip

    def _publish(
        self,
        entity: Entity,
        kept: list[Record],
        arriving: list[Record],
        replaced: str | None,
        *,
        at: datetime,
        days: tuple[date, ...] = (),
        linked_days: tuple[date, ...] = (),
    ) -> str:
        self.batches += 1
        batch = hashlib.sha256(f"{entity} {self.batches}".encode()).hexdigest()[:16]
        provenance = {"ingested_at": at, "batch_id": batch}
        arriving = [{**row, **provenance} for row in arriving]
        landing = layout.landing_key(entity, layout.SNAPSHOT, at, 0, f"{self.batches:064x}")
        if entity is Entity.USERS:
            self.lake.put(f"{landing}/{layout.RECEIPT}", _receipt(landing, at))
        asked = Interval(at.date(), at.date() + timedelta(days=1))
        landings = {layout.SNAPSHOT: landing}
        write_manifest(
            self.lake,
            Manifest(
                entity=entity,
                batch_id=batch,
                interval=asked,
                landings=landings,
                rules="",
                parent=None,
                days=days,
                linked_days=linked_days,
            ),
        )
        table = self.table(entity)
        frame = pa.Table.from_pylist(arriving, schema=schema_to_pyarrow(table.schema(), include_field_ids=False))
        overwrite: BooleanExpression = parse(replaced) if replaced else AlwaysTrue()
        properties = {"batch_id": batch}
        if replaced:
            table.overwrite(frame, overwrite_filter=overwrite, snapshot_properties=properties)
        else:
            table.append(frame, snapshot_properties=properties)
        self.rows[entity] = [*kept, *arriving]
        return batch


def _receipt(landing: str, at: datetime) -> bytes:
    return json.dumps(
        {
            "entity": "users", "unit": layout.SNAPSHOT, "interval": ["2025-01-01", "2025-01-02"],
            "extracted_at": at.isoformat(), "sequence": 0, "digest": landing[-16:], "rows": 0, "parts": [],
            "requests": [], "source": {},
        }
    ).encode()  # fmt: skip


def _day(row: Record) -> date:
    return row["session_start_time"].astimezone(UTC).date()  # type: ignore[no-any-return]


def _literals(values: Iterable[str]) -> str:
    return ", ".join(f"'{value}'" for value in sorted(values))
