"""Generated landings, many small worlds at once: what one world holds says nothing of another, in keys and in days.

So one batch of a hundred worlds is a hundred batches that cost one start of an engine.
"""

import gzip
import hashlib
import io
import json
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from deftunes.adapters.lake import Lake
from deftunes.core import layout
from deftunes.core.entities import Entity
from deftunes.core.entities.songs import UNREADABLE
from deftunes.core.interval import ONE_DAY, Interval
from deftunes.core.stages import RunWindow
from deftunes.state.landings import Part, Receipt
from support.ids import artist_id, track_id, user_id

T0 = datetime(2030, 1, 1, tzinfo=UTC)
FIRST = date(2000, 1, 1)
APART = 6  # days from one world to the next: more than it has
DAYS = 3
ODD_TEXTS = ("", " ", "a\nb", "\x00", "x\x00y", "\u00e9", "e\u0301", "\U0001f3b5", "\u2028", "O'Brien \"\\", "x" * 300)
ODD_VALUES = (None, True, 7, -1, 1.5, [], {}, "", "seven", ["a"], {"a": 1}, "2020-13-01T00:00:00", 1e400)
PRICES = (0.99, 1.29, "1.10", 0, 2, 2.01, -0.01, 1.005, 10000000000, "text", None, True)
Source = dict[str, Any]


def land_step(lake: Lake, entity: Entity, seed: int, worlds: int, step: int) -> RunWindow:
    """Land what all worlds have in this step; returns the window of a run over them."""
    random = Random(f"{entity} {seed} {step}")
    if entity is Entity.SESSIONS:
        return _land_sessions(lake, random, seed, worlds, step)
    at = T0 + timedelta(hours=step, microseconds=random.randrange(10**6))
    if entity is Entity.USERS:
        lines = [line for world in range(worlds) for line in _users(Random(f"{seed} {world}"), random, world)]
        _put_lines(lake, entity, layout.SNAPSHOT, at, lines)
    else:
        _put_songs(lake, random, worlds, at)
    return RunWindow(Interval(FIRST, FIRST + ONE_DAY), ())


def _land_sessions(lake: Lake, random: Random, seed: int, worlds: int, step: int) -> RunWindow:
    days = []
    for world in range(worlds):
        first = FIRST + timedelta(days=APART * world)
        pool = [_uuid(world, number) for number in range(4)]
        for day in (first + timedelta(days=number) for number in range(DAYS)):
            if step and random.random() < 0.5:
                continue
            lines = [_session(random, pool, day) for _ in range(random.randrange(5))]
            lines = _repeated(random, lines)
            at = T0 + timedelta(days=step, seconds=random.randrange(3))
            _put_lines(lake, Entity.SESSIONS, layout.day_unit(day), at, lines)
            if random.random() < 0.1:
                undated = [_session(random, pool, None) for _ in range(random.randrange(1, 3))]
                _put_lines(lake, Entity.SESSIONS, layout.undated_unit(day), at, undated)
            days.append(day)
    return RunWindow(Interval(days[0], days[-1] + ONE_DAY), tuple(days))


def _session(random: Random, pool: list[str], day: date | None) -> str:
    record: Source = {
        "session_id": random.choice(pool),
        "user_id": user_id(random.randrange(3)),
        "user_agent": random.choice(("Mozilla", *ODD_TEXTS)),
        "session_start_time": f"{day}T{random.randrange(24):02}:30:00Z" if day else random.choice(("noon", None, 5)),
        "session_items": [_item(random) for _ in range(random.choice((0, 1, 1, 2, 3)))],
    }
    if random.random() < 0.15:
        name = random.choice([name for name in record if name != "session_start_time"])
        record[name] = random.choice((*ODD_VALUES, *ODD_TEXTS, "x" * 36))
    if random.random() < 0.05:
        del record[random.choice([name for name in record if name != "session_start_time"])]
    if random.random() < 0.1:
        record[random.choice(("extra", "more\nlines", "other"))] = 1
    return _written(random, record)


def _item(random: Random) -> Any:
    track = random.randrange(3)
    item: Source = {
        "song_id": track_id(track),
        "song_name": random.choice(("Song", *ODD_TEXTS)),
        "artist_id": artist_id(track),
        "artist_name": "Artist",
        "price": random.choice((0.99, 0.99, 1.29, *PRICES)),
        "currency": random.choice(("USD", "EUR", "USD", "EUR", "x" * 255, "x" * 256)),
        "liked": random.choice((True, False)),
        "liked_since": random.choice(("2020-01-01T00:00:00Z", None)),
    }
    if random.random() < 0.15:
        item[random.choice(list(item))] = random.choice((*ODD_VALUES, *ODD_TEXTS))
    if random.random() < 0.05:
        item["extra"] = 1
    return item if random.random() < 0.97 else random.choice(ODD_VALUES)


def _users(fixed: Random, random: Random, world: int) -> Iterable[str]:
    """A few users of a world; from step to step about half of them change."""
    lines = []
    for number in range(fixed.randrange(1, 4)):
        record: Source = {
            "user_id": _uuid(world, number),
            "user_name": random.choice(("Ann", "Ann", *ODD_TEXTS)),
            "user_lastname": random.choice(("Lee", "Lee", "Ray", "x" * 16_383, "x" * 16_384)),
            "user_location": [
                "12.5",
                random.choice(("-3.25", "181.123456789", "1e2", "x")),
                "Ely",
                "GB",
                "Europe/London",
            ],
            "user_since": "2019-01-01T00:00:00Z",
        }
        if random.random() < 0.2:
            record[random.choice(list(record))] = random.choice((*ODD_VALUES, *ODD_TEXTS))
        if random.random() < 0.1:
            record["extra"] = None
        lines.append(_written(random, record))
    return _repeated(random, lines)


def _repeated(random: Random, lines: list[str]) -> list[str]:
    """Some of them twice: the same text, or the same content in another text."""
    again = []
    for line in lines:
        if random.random() < 0.15:
            again.append(line)
        if random.random() < 0.1 and line.startswith("{"):
            turned = dict(reversed(json.loads(line, parse_float=str).items()))
            again.append(json.dumps(turned) if "." not in line else line.replace(",", " ,"))
    lines = [*lines, *again]
    if random.random() < 0.05:
        lines.append(random.choice(("no JSON", "[]", "7", '"text"', "{", '{"session_id": "\\ud800"}')))
    random.shuffle(lines)
    return lines


def _written(random: Random, record: Source) -> str:
    text = json.dumps(record, ensure_ascii=random.random() < 0.5)
    return text.replace("Infinity", "1e400")


def _put_songs(lake: Lake, random: Random, worlds: int, at: datetime) -> None:
    """A full landing; the types of its numbers, and with them how they are typed, differ from step to step."""
    rows: list[Source] = []
    for world in range(worlds):
        for number in range(random.randrange(4)):
            row = {
                "track_id": track_id(world * 10 + number),
                "title": random.choice(("Title", "Title", None, *ODD_TEXTS)),
                "song_id": f"SO{number:016}",
                "release": "Release",
                "artist_id": random.choice((artist_id(number), artist_id(number), None, "x" * 255, "x" * 256)),
                "artist_mbid": None,
                "artist_name": "Artist",
                "duration": random.choice((200.5, 0.1, -0.0, None, float("nan"), float("inf"))),
                "artist_familiarity": 0.5,
                "artist_hotttnesss": None,
                "year": random.choice(("1999", "1999", "0", " 7 ", "x", "1.5", None, str(2**31))),
                "track_7digitalid": random.choice((1, 2, None)),
                "shs_perf": -1,
                "shs_work": 0,
                UNREADABLE: random.choice((None,) * 9 + ("bytes that are\nno text",)),
            }
            rows.append(row)
            if random.random() < 0.1:
                rows.append(row)
            if random.random() < 0.1:
                rows.append({**row, "title": "another"})
    if random.random() < 0.5:
        rows.append({**rows[0], "track_id": None})
    shape = {name: pa.string() for name in rows[0]}
    shape |= {"duration": random.choice((pa.float64(), pa.float32())), "artist_familiarity": pa.float64()}
    shape |= {"artist_hotttnesss": pa.float64(), "track_7digitalid": random.choice((pa.int32(), pa.int64()))}
    shape |= {"shs_perf": pa.int16(), "shs_work": pa.int64()}
    table = pa.Table.from_pylist(rows, schema=pa.schema(list(shape.items())))
    body = io.BytesIO()
    pq.write_table(table, body, row_group_size=64)
    source = {"kind": "full", "rows": len(rows)}
    _put(lake, Entity.SONGS, layout.SNAPSHOT, at, "part-00000.parquet", body.getvalue(), len(rows), source)


def _put_lines(lake: Lake, entity: Entity, unit: str, at: datetime, lines: list[str]) -> None:
    body = gzip.compress("".join(f"{line}\n" for line in lines).encode(), mtime=0)
    _put(lake, entity, unit, at, "part-00000.jsonl.gz", body, len(lines), {})


def _put(
    lake: Lake, entity: Entity, unit: str, at: datetime, name: str, body: bytes, rows: int, source: Source
) -> None:
    digest = hashlib.sha256(body).hexdigest()
    day = FIRST if entity.is_snapshot else layout.day_of_unit(unit)
    folder = layout.landing_key(entity, unit, at, 0, digest)
    part = Part(f"{folder}/{name}", rows, len(body), digest)
    lake.put(part.key, body)
    receipt = Receipt(entity, unit, Interval(day, day + ONE_DAY), at, 0, digest, rows, (part,), (), source)
    lake.put_json(f"{folder}/{layout.RECEIPT}", receipt.to_json())


def _uuid(world: int, number: int) -> str:
    return f"{world:08d}-0000-4000-9000-{number:012d}"
