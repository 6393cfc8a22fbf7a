"""Gold as the design defines it, computed from silver's rows in plain Python: what the models are compared with."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from deftunes.adapters.warehouse import Warehouse
from deftunes.core import layout
from deftunes.core.entities import Entity
from support.silver import Record

FIRST = datetime(1900, 1, 1, tzinfo=UTC)
LAST = datetime(9999, 12, 31, tzinfo=UTC)
SERVING = ("dim_artists", "dim_songs", "dim_users", "fact_session", "fact_session_day")

Rows = set[tuple[Any, ...]]
Gold = dict[str, Rows]


def expected_gold(silver: dict[Entity, list[Record]]) -> Gold:
    """Every table and view of gold, as sets of rows in the order of `COLUMNS`."""
    songs, users, sales = silver[Entity.SONGS], silver[Entity.USERS], silver[Entity.SESSIONS]
    earliest = sorted(sales, key=lambda row: (row["session_start_time"], row["session_id"], row["item_number"]))
    versions = _versions(users)
    tracks = _tracks(songs, earliest)
    artists = _artists(songs, earliest)
    buyers = _users(versions, sales)
    facts = [_fact(row, versions) for row in sales]
    tables = {"dim_songs": tracks, "dim_artists": artists, "dim_users": buyers, "fact_session": facts}
    tables["fact_session_day"] = _days(facts)
    tables["data_as_of_vw"] = _as_of(facts)
    tables |= _views(facts, tracks, artists, buyers)
    return {name: {tuple(row[column] for column in COLUMNS[name]) for row in rows} for name, rows in tables.items()}


def actual_gold(warehouse: Warehouse) -> Gold:
    """The same of the warehouse; fails where a row is there twice."""
    gold = {}
    for name, columns in COLUMNS.items():
        schema = layout.SERVING_SCHEMA if name in SERVING else layout.BI_SCHEMA
        rows = warehouse.query(f"select {', '.join(columns)} from {schema}.{name}").rows
        assert len(set(rows)) == len(rows), f"{name} holds a row twice"
        gold[name] = set(rows)
    return gold


def assert_gold_matches_silver(warehouse: Warehouse, silver: dict[Entity, list[Record]], context: object = "") -> None:
    """Gold is what the design says of these rows; names the first table that is not."""
    expected, actual = expected_gold(silver), actual_gold(warehouse)
    for name in COLUMNS:
        missing, surplus = expected[name] - actual[name], actual[name] - expected[name]
        assert (missing, surplus) == (set(), set()), f"{name} {context}\nmissing: {missing}\nsurplus: {surplus}"


def _versions(users: Iterable[Record]) -> dict[str, list[Record]]:
    by_user: dict[str, list[Record]] = defaultdict(list)
    for row in sorted(users, key=lambda row: row["effective_from"]):
        by_user[row["user_id"]].append(row)
    result = {}
    for user_id, rows in by_user.items():
        bounds = [FIRST, *(row["effective_from"] for row in rows[1:]), LAST]
        result[user_id] = [
            {**row, "valid_from": begin, "valid_to": end, "user_key": _key(user_id, begin),
             "is_current": end == LAST, "is_inferred": False}
            for row, begin, end in zip(rows, bounds, bounds[1:], strict=False)
        ]  # fmt: skip
    return result


def _users(versions: dict[str, list[Record]], sales: Iterable[Record]) -> list[Record]:
    unknown = {row["user_id"] for row in sales} - versions.keys()
    nothing = dict.fromkeys(
        ("user_name", "user_lastname", "user_since", "place_name", "country_code", "timezone"), None
    )
    inferred = [
        {**nothing, "user_key": _key(user_id, FIRST), "user_id": user_id, "valid_from": FIRST, "valid_to": LAST,
         "is_current": True, "is_inferred": True}
        for user_id in unknown
    ]  # fmt: skip
    return [version for rows in versions.values() for version in rows] + inferred


def _tracks(songs: Iterable[Record], earliest: Iterable[Record]) -> list[Record]:
    tracks = {
        row["track_id"]: {
            **row, "year": row["year"] or None, "is_deleted": bool(row["is_deleted"]), "is_inferred": False
        }
        for row in songs
    }  # fmt: skip
    for row in earliest:
        tracks.setdefault(
            row["track_id"],
            {"track_id": row["track_id"], "song_id": None, "title": row["song_name"], "release": None, "year": None,
             "artist_id": row["artist_id"], "is_deleted": False, "is_inferred": True},
        )  # fmt: skip
    return list(tracks.values())


def _artists(songs: Iterable[Record], earliest: Iterable[Record]) -> list[Record]:
    names: dict[str, Counter[str]] = defaultdict(Counter)
    for row in songs:
        names[row["artist_id"]].update([row["artist_name"]] if row["artist_name"] is not None else [])
    artists = {
        artist: {
            "artist_id": artist,
            "artist_name": min(found, key=lambda name: (-found[name], name.encode()), default=None),
            "is_inferred": False,
        }
        for artist, found in names.items()
    }
    for row in earliest:
        artists.setdefault(
            row["artist_id"],
            {"artist_id": row["artist_id"], "artist_name": row["artist_name"], "is_inferred": True},
        )
    return list(artists.values())


def _fact(row: Record, versions: dict[str, list[Record]]) -> Record:
    valid = [
        version["user_key"]
        for version in versions.get(row["user_id"], ())
        if version["valid_from"] <= row["session_start_time"] < version["valid_to"]
    ]
    date = row["session_start_time"].astimezone(UTC).date()
    return {**row, "user_key": valid[0] if valid else _key(row["user_id"], FIRST), "session_date": date}


def _views(facts: list[Record], tracks: list[Record], artists: list[Record], users: list[Record]) -> dict[str, Any]:
    names = {row["artist_id"]: row["artist_name"] for row in artists}
    countries = {row["user_key"]: row["country_code"] or "unknown" for row in users}
    years = {row["track_id"]: row["year"] for row in tracks}
    first_days: dict[str, date] = {}
    for row in facts:
        buyer = row["user_id"]
        first_days[buyer] = min(row["session_date"], first_days.get(buyer, row["session_date"]))
    sums: dict[str, dict[tuple[Any, ...], Record]] = {name: {} for name in layout.SALES_VIEWS}

    def add(view: str, row: Record, **key: object) -> Record:
        line = sums[view].setdefault(
            tuple(key.values()),
            {**key, "total_sales": Decimal(0), "items": 0, "liked_items": 0, "seen": set(), "seen_buyers": set()},
        )
        line["total_sales"] += row["price"]
        line["items"] += 1
        line["liked_items"] += bool(row["liked"])
        line["seen"].add(row["session_id"])
        line["sessions"] = len(line["seen"])
        line["seen_buyers"].add(row["user_id"])
        line["buyers"] = len(line["seen_buyers"])
        return line

    for row in facts:
        year, month = row["session_date"].year, row["session_date"].month
        country, currency = countries[row["user_key"]], row["currency"]
        made = years[row["track_id"]]
        decade = "unknown" if made is None else f"{made - made % 10}s"
        add("sales_per_artist_vw", row, session_year=year, artist_id=row["artist_id"],
            artist_name=names[row["artist_id"]], currency=currency)  # fmt: skip
        add("sales_per_country_vw", row, session_year=year, session_month=month, country_code=country,
            currency=currency)  # fmt: skip
        add("user_activity_vw", row, session_year=year, session_month=month, user_id=row["user_id"],
            currency=currency)  # fmt: skip
        add("music_preference_vw", row, session_year=year, country_code=country, release_decade=decade,
            currency=currency)  # fmt: skip
        day = add("sales_per_day_vw", row, session_date=row["session_date"], currency=currency)
        day["new_buyers"] = sum(first_days[buyer] == row["session_date"] for buyer in day["seen_buyers"])
    return {name: list(lines.values()) for name, lines in sums.items()}


def _days(facts: list[Record]) -> list[Record]:
    sessions: dict[date, list[str]] = defaultdict(list)
    for row in facts:
        sessions[row["session_date"]].append(row["session_id"])
    return [{"session_date": day, "items": len(ids), "sessions": len(set(ids))} for day, ids in sessions.items()]


def _as_of(facts: list[Record]) -> list[Record]:
    days = [row["session_date"] for row in facts]
    sessions = {row["session_id"] for row in facts}
    return [{"data_through": max(days, default=None), "items": len(facts), "sessions": len(sessions)}]


def _key(user_id: str, valid_from: datetime) -> str:
    text = f"{user_id}|{valid_from:%Y-%m-%d %H:%M:%S.%f}"
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


COLUMNS = {
    "dim_artists": ("artist_id", "artist_name", "is_inferred"),
    "dim_songs": ("track_id", "song_id", "title", "release", "year", "artist_id", "is_deleted", "is_inferred"),
    "dim_users": (
        "user_key", "user_id", "user_name", "user_lastname", "user_since", "place_name", "country_code", "timezone",
        "valid_from", "valid_to", "is_current", "is_inferred",
    ),
    "fact_session": (
        "session_id", "item_number", "user_id", "user_key", "track_id", "artist_id", "price", "currency", "liked",
        "liked_since", "session_start_time", "session_date", "user_agent",
    ),
    "fact_session_day": ("session_date", "items", "sessions"),
    "sales_per_artist_vw": ("session_year", "artist_id", "artist_name", "currency", "items", "total_sales"),
    "sales_per_country_vw": ("session_month", "session_year", "country_code", "currency", "items", "total_sales"),
    "user_activity_vw": (
        "session_month", "session_year", "user_id", "currency", "sessions", "items", "liked_items", "total_sales",
    ),
    "music_preference_vw": (
        "session_year", "country_code", "release_decade", "currency", "items", "liked_items", "total_sales",
    ),
    "sales_per_day_vw": (
        "session_date", "currency", "total_sales", "items", "liked_items", "sessions", "buyers", "new_buyers",
    ),
    # The rest of its columns say how runs ended, which silver does not know.
    "data_as_of_vw": ("data_through", "items", "sessions"),
}  # fmt: skip
# Every column of every model.
ALL_COLUMNS = {
    **COLUMNS,
    "data_as_of_vw": (*COLUMNS["data_as_of_vw"], "last_load_at", "last_check_at", "last_check_passed"),
    "records_held_back_vw": ("entity", "reason", "records", "first_rejected_at", "last_rejected_at"),
    "last_runs_vw": ("stage", "entity", "started_at", "ended_at", "outcome", "exit_code", "run_id"),
}
