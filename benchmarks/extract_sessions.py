"""Sessions: the extract of a month beside `curl` of the same month and what others would use; also under faults.

Each tool gets a simulator of its own, which has to make the month up while it is asked for, as an API does that reads a
database. Under a burst, seven requests are answered wrongly, each in another way.
"""

import argparse
import gzip
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from contest import Tool, compete, python, table, written
from month import END, START
from shop import open_shop

from deftunes.core.interval import Interval, read_instant

MONTH = Interval(START, END)
BURST: tuple[Mapping[str, object], ...] = (
    {"kind": "status", "status": 503, "requests": 1},
    {"kind": "status", "status": 429, "retry_after": "1", "requests": 1},
    {"kind": "reset", "requests": 1},
    {"kind": "reset_midway", "requests": 1},
    {"kind": "truncated_length", "requests": 1},
    {"kind": "truncated_chunked", "requests": 1},
    {"kind": "malformed_json", "requests": 1},
)
_FIELDS = ("session_id", "user_id", "user_agent")


def add_options(parser: argparse.ArgumentParser) -> None:
    """The size."""
    parser.add_argument("--sessions", type=int, default=50_000, help="sessions of the month")


def run(options: argparse.Namespace) -> Iterator[str]:
    """Measure the month as it is, then under a burst."""
    curl = Tool("curl", _curl)
    others = [
        Tool("deftunes extract sessions", python("deftunes_sessions.py")),
        Tool("requests, eight threads", python("threads_sessions.py")),
        Tool("dlt", python("dlt_sessions.py", peer=True)),
    ]
    quiet = partial(_simulator, options.sessions, ())
    yield table(f"sessions, {options.sessions} in a month", compete([curl, *others], options.rounds, quiet, _checksum))
    struck = partial(_simulator, options.sessions, BURST)
    yield table(
        f"sessions, {options.sessions} in a month, a burst of {len(BURST)} faults",
        compete(others, options.rounds, struck, _checksum),
    )


@contextmanager
def _simulator(sessions: int, faults: Sequence[Mapping[str, object]]) -> Iterator[str]:
    """A simulator that sells this many sessions in the month."""
    with open_shop(sessions, (MONTH.end - MONTH.start).days) as simulator:
        simulator.faults(*faults)
        yield simulator.url


def _curl(url: str, out: Path) -> Sequence[str]:
    query = f"start_date={MONTH.start}&end_date={MONTH.end}"
    return ["curl", "-sf", "-o", str(out / "sessions.json"), f"{url}/sessions?{query}"]


def _checksum(out: Path) -> Mapping[str, object]:
    """The number of sessions of the month and a sum over each field, whatever the order and the format."""
    sums: dict[str, int] = {}
    rows = 0
    for session in _records(out):
        start = read_instant(session.get("session_start_time"))
        if start is None or start.date() not in MONTH:
            continue
        rows += 1
        items = session.get("session_items")
        values = {
            **{name: session.get(name) for name in _FIELDS},
            "session_start_time": start.isoformat(),
            "session_items": json.loads(items) if isinstance(items, str) else items,
        }
        for name, value in values.items():
            digest = hashlib.sha256(json.dumps(value, sort_keys=True).encode()).digest()
            sums[name] = (sums.get(name, 0) + int.from_bytes(digest[:8])) % (1 << 64)
    return {"rows": rows, **sums}


def _records(out: Path) -> Iterator[dict[str, Any]]:
    whole = out / "sessions.json"
    if whole.exists():
        yield from json.loads(whole.read_bytes())
        return
    for path in written(out, "*.jsonl*"):
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as lines:
            yield from map(json.loads, lines)
