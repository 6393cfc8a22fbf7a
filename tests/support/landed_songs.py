"""The song catalogue in PostgreSQL, its landings, and what `main` is supposed to hold of them."""

from datetime import date
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from psycopg2.extensions import connection as Connection  # noqa: N812 - a class, named in lower case by the driver

from deftunes.adapters.lake import Lake
from deftunes.adapters.songs_source import SongsSource
from deftunes.core import layout
from deftunes.core.entities import Entity
from deftunes.core.interval import Interval
from deftunes.extract.landed import Landed
from deftunes.extract.songs import CHANGES, land_songs
from deftunes.state.landings import Landings, Receipt
from song_catalog.generator import generate
from song_catalog.loader import load_songs
from song_catalog.songs import COLUMNS

INTERVAL = Interval(date(2026, 1, 1), date(2026, 1, 2))
Row = dict[str, Any]


def key(number: int) -> str:
    return f"TR{number:016}"


class LandedSongs:
    """`deftunes.songs` in PostgreSQL, its landings, and what `main` is supposed to hold of it."""

    def __init__(self, connection: Connection, dsn: str, lake: Lake) -> None:
        self.connection = connection
        self.dsn = dsn
        self.lake = lake
        self.landings = Landings(lake, Entity.SONGS)
        self.published: Receipt | None = None

    def sql(self, *statements: str) -> None:
        """Each statement in a transaction of its own."""
        with self.connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)

    def load(self, rows: int) -> None:
        """A generated catalogue."""
        self.connection.autocommit = False
        load_songs(self.connection, generate(1, rows), replace=True)
        self.connection.commit()
        self.connection.autocommit = True

    def land(self, **options: Any) -> Landed:
        """Extract, as a run would."""
        defaults: dict[str, Any] = {"published": self.published, "conflicting": 0, "full_after": 30, "max_shrink": 0.2}
        return land_songs(SongsSource(self.dsn), self.landings, INTERVAL, **{**defaults, **options})

    def publish(self) -> Receipt:
        """Let `main` hold the landing in use."""
        self.published = self.in_use
        return self.published

    @property
    def in_use(self) -> Receipt:
        """The landing in use."""
        receipt = self.landings.in_use(layout.SNAPSHOT)
        assert receipt
        return receipt

    def table(self, number: int = 0) -> pa.Table:
        """A part of the landing in use."""
        return pq.read_table(pa.BufferReader(self.lake.get(self.in_use.parts[number].key)))

    def rows(self) -> list[Row]:
        """The rows of the landing in use."""
        rows: list[Row] = self.table().to_pylist()
        return rows

    def landed_keys(self) -> list[str]:
        """The track ids among them."""
        return [row["track_id"] for row in self.rows()]

    def kind(self) -> str:
        """What the landing in use is."""
        kind: str = self.in_use.source["kind"]
        return kind

    def source_rows(self) -> list[tuple[Any, ...]]:
        """What PostgreSQL holds."""
        with self.connection.cursor() as cursor:
            cursor.execute(f"select {', '.join(COLUMNS)} from deftunes.songs")
            return cursor.fetchall()

    def objects(self) -> list[str]:
        """Everything in the lake."""
        return list(self.lake.keys(""))

    def follow(self, main: dict[str, Row]) -> dict[str, Row]:
        """What `main` holds after the landing in use, one row a key, and that landing published."""
        rows = {row["track_id"]: row for row in self.rows()}
        if self.kind() == CHANGES:
            rows = {**main, **rows}
            if len(self.in_use.parts) > 1:
                live = set(self.table(1).column("track_id").to_pylist())
                rows = {track: row for track, row in rows.items() if track in live}
        self.publish()
        return rows

    def by_key(self) -> dict[str, Row]:
        """What PostgreSQL holds, one row a key."""
        return {row[0]: dict(zip(COLUMNS, row, strict=True)) for row in self.source_rows()}
