"""Whether a day's `model` grows with the warehouse: the same day on an almost empty one, and on one of a million facts.

    .venv/bin/python benchmarks/model_growth.py [--facts 1000000] [--rounds 3]

Fills two warehouses of one PostgreSQL (embedded, in a folder of its own) by charts_warehouse.py: `facts` items over
1,000 days, and two days of a shop that sells as much a day to the same members. Both have `model` build gold. Then days
are added to both in turn, and `model` is timed, dbt imported before (its import does not grow). Prints the median of
each, their ratio, and by dbt model the seconds of the last day. Trust the ratio, not the seconds.
"""

import argparse
import os
import statistics
import tempfile
from datetime import timedelta
from pathlib import Path

from charts_warehouse import FIRST_DAY, Shop, build, cursor_of, fill, sell_another_day
from psycopg2.extensions import make_dsn

from deftunes.adapters.warehouse_drivers import open_warehouse
from deftunes.core.interval import Interval
from deftunes.core.services import Service
from deftunes.core.settings import read_settings
from deftunes.embedded import down, resolve

_DAYS = 1_000
_FEW = 2


def main() -> None:
    """Fill both, build both, then day by day."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--facts", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        settings = read_settings().model_copy(update={"home": Path(home), "warehouse_dsn": None})
        try:
            address = resolve(settings, frozenset((Service.POSTGRES,))).warehouse_dsn
            assert address
            measure(address.get_secret_value(), Path(home), asked.facts, asked.rounds)
        finally:
            down(settings)


def measure(address: str, home: Path, facts: int, rounds: int) -> None:
    """Print what each warehouse takes, and their ratio."""
    # The same members, and as much in a day: the small one lacks the history alone.
    shops = {"small": Shop(facts * _FEW // _DAYS, days=_FEW), "large": Shop(facts, days=_DAYS)}
    taken: dict[str, list[dict[str, float]]] = {name: [] for name in shops}
    warehouses = {}
    for name, shop in shops.items():
        with cursor_of(address) as cursor:
            cursor.execute(f"create database growth_{name}")
        warehouses[name] = make_dsn(address, dbname=f"growth_{name}")
        warehouse = open_warehouse(warehouses[name], lock_timeout=10)
        fill(warehouses[name], warehouse, shop)
        first = build(warehouse, Interval(FIRST_DAY, FIRST_DAY + timedelta(days=1)), home / name)
        print(f"{name}: {shop.facts} facts, first build {first['model']:.1f} s", flush=True)
    for ahead in range(rounds + 1):  # the first of them, which has the caches to fill, is not counted
        for name, shop in shops.items():
            day = sell_another_day(warehouses[name], shop, ahead)
            taken[name].append(build(open_warehouse(warehouses[name], lock_timeout=10), day, home / name))
    print(f"\n{'seconds of the last day':26} {'small':>8} {'large':>8}    load average {os.getloadavg()[0]:.1f}")
    for model, seconds in taken["small"][-1].items():
        print(f"{model:26} {seconds:8.2f} {taken['large'][-1][model]:8.2f}")
    small, large = (statistics.median(day["model"] for day in taken[name][1:]) for name in ("small", "large"))
    print(f"\nmedian of {rounds} days: {small:.2f} and {large:.2f} s, ratio {large / small:.2f}")


if __name__ == "__main__":
    main()
