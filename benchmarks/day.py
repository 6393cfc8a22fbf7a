"""A whole day, and a month, from the API to gold: `deftunes run api` on both engines beside dlt, Iceberg and dbt.

Each run is a cold process on a copy of the same home, its services up: songs are published, of users and sessions there
is nothing yet. A result counts only where gold has the same sales: items and revenue of each currency.
"""

import argparse
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg2
from contest import HERE, PEERS
from home import CommandError, Platform, Taken, measure
from month import START
from psycopg2.extensions import parse_dsn
from shop import publish_songs

from deftunes.core.layout import SERVING_SCHEMA
from deftunes.core.services import Service
from support.simulator import running_simulator

SONGS = 10_000
SESSIONS = 1_000
USERS = 200
_PEER = HERE / "contenders" / "dlt_dbt" / "pipeline.py"

# Items and revenue of each currency.
Sales = Mapping[str, tuple[int, Decimal]]


@dataclass
class Line:
    """One that takes part: what it took in each round, and why it counts no more."""

    name: str
    run: Callable[[Platform], tuple[Taken, Sales]]
    taken: list[Taken] = field(default_factory=list)
    failure: str = ""

    def median(self, stage: str) -> float:
        """Seconds from the start of the process until the last outcome of a stage."""
        return statistics.median(taken.reached[stage] for taken in self.taken)


def add_options(parser: argparse.ArgumentParser) -> None:
    """The sizes."""
    parser.add_argument(
        "--days", type=int, nargs="*", default=[1], help="days of a run, 1,000 sessions each; 31: a month"
    )


def run(options: argparse.Namespace) -> Iterator[str]:
    """Measure a run over each number of days."""
    with TemporaryDirectory() as folder:
        platform = Platform(Path(folder) / "home", DEFTUNES_API_URL="http://127.0.0.1:9")
        publish_songs(platform, SONGS)
        platform.down()
        for days in options.days:
            end = START + timedelta(days=days)
            # It opens on the first day: the days before it, which the platform looks back on, are empty.
            with running_simulator(
                users=USERS, sessions_per_day=SESSIONS, start=str(START), clock="2026-03-01T00:00:00"
            ) as simulator:
                for path in ("/users", "/sessions"):  # nobody waits for the simulator to make it up
                    simulator.get(path, **({"start_date": START, "end_date": end} if path == "/sessions" else {}))
                lines = _lines(simulator.url, START, end)
                compete(lines, options.rounds, platform)
            what = "one day" if days == 1 else f"{days} days"
            yield table(f"run api: {what}, {SESSIONS * days} sessions, {USERS} users, from nothing to gold", lines)


def compete(lines: Sequence[Line], rounds: int, platform: Platform) -> None:
    """Let them take turns; the sales of the first one are what all must have."""
    expected: Sales = {}
    for _ in range(rounds):
        for line in lines:
            if line.failure:
                continue
            with platform.copy(Service.AWS, Service.POSTGRES) as copied:
                try:
                    taken, sales = line.run(copied)
                except CommandError as error:
                    line.failure = f"failed: {str(error).strip().splitlines()[-1]}"
                    continue
            expected = expected or sales
            line.failure = difference(expected, sales)
            line.taken.append(taken)


def difference(expected: Sales, found: Sales) -> str:
    """Where sales differ, in words; empty: nowhere."""
    for currency in sorted({*expected, *found}):
        if expected.get(currency) != found.get(currency):
            (items, revenue), (other_items, other_revenue) = (
                sales.get(currency, (0, Decimal(0))) for sales in (expected, found)
            )
            return f"other data: {other_items} items {other_revenue} {currency}, expected {items} items {revenue}"
    return ""


def table(title: str, lines: Sequence[Line]) -> str:
    """What they took, as multiples of the first one."""
    rows = [f"\n{title}", f"{'':28} {'to silver':>9} {'to gold':>8} {'ratio':>7} {'processor':>10} {'peak MiB':>9}"]
    base = 0.0
    for line in lines:
        if line.failure:
            rows.append(f"{line.name:28} {line.failure}")
            continue
        gold = line.median("model")
        base = base or gold
        peak = max(taken.mebibytes for taken in line.taken)
        java = "java" if any(taken.java for taken in line.taken) else "no java"
        used = statistics.median(taken.processor for taken in line.taken)
        rows.append(
            f"{f'{line.name}, {java}':28} {line.median('publish'):9.1f} {gold:8.1f} {gold / base:>5.2f} x"
            f" {used:10.1f} {peak:9}"
        )
    return "\n".join(rows)


def sales_in(dsn: str, fact: str) -> Sales:
    """What a table of facts has sold."""
    with closing(psycopg2.connect(dsn)) as connection, connection.cursor() as cursor:
        cursor.execute(f"select currency, count(*), sum(price) from {fact} group by currency")
        return {currency: (items, revenue) for currency, items, revenue in cursor.fetchall()}


def _lines(url: str, start: date, end: date) -> list[Line]:
    def deftunes(engine: str) -> Callable[[Platform], tuple[Taken, Sales]]:
        def run_api(platform: Platform) -> tuple[Taken, Sales]:
            taken = platform.run(
                "run", "api", "--start", str(start), "--end", str(end), "--json",
                DEFTUNES_API_URL=url, DEFTUNES_ENGINE=engine,
            )  # fmt: skip
            return taken, sales_in(platform.warehouse(), f"{SERVING_SCHEMA}.fact_session")

        return run_api

    def peer(platform: Platform) -> tuple[Taken, Sales]:
        dsn = platform.warehouse()
        command = [PEERS, _PEER, url, platform.home / "peer", _url_of(dsn, platform), start, end]
        return measure([str(word) for word in command]), sales_in(dsn, "star.fact_items")

    return [
        Line("deftunes, embedded", deftunes("embedded")),
        Line("deftunes, spark", deftunes("spark")),
        Line("dlt, Iceberg, dbt", peer),
    ]


def _url_of(dsn: str, platform: Platform) -> str:
    """The same database by TCP, as tools without a socket name it."""
    database = parse_dsn(dsn)
    password = (platform.home / "run" / "postgres.secret").read_text().strip()
    return f"postgresql://{database['user']}:{password}@127.0.0.1:{database['port']}/{database['dbname']}"
