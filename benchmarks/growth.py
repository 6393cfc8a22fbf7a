"""Whether a day costs more the more there is: day by day over a season, and one more day on a million items.

Each day is a cold `deftunes run api` by the embedded engine. A season is one home and 1,000 sessions a day. For the
million, one home gets a history of that many items, another one a single day; then both get the same days in turns.
A result counts only where gold has as many items as the shop says it sold.
"""

import argparse
import statistics
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from day import SESSIONS, SONGS, USERS, sales_in
from home import Platform, Taken
from month import START
from shop import publish_songs

from deftunes.core.layout import SERVING_SCHEMA
from deftunes.core.services import Service
from support.simulator import Simulator, running_simulator

STAGES = ("extract", "transform", "quality", "publish", "load", "model")
_ONE_DAY = timedelta(days=1)
_HISTORY = 30  # days
_ITEMS_PER_SESSION = 2.86
_OPENED = date(2025, 12, 1)


def add_options(parser: argparse.ArgumentParser) -> None:
    """The sizes."""
    parser.add_argument("--growth-days", type=int, default=20, help="days of the season, of 1,000 sessions; 0: none")
    parser.add_argument("--growth-items", type=int, default=1_000_000, help="items of the history; 0: none")


def run(options: argparse.Namespace) -> Iterator[str]:
    """Measure both."""
    if options.growth_days:
        yield _season(options.growth_days)
    if options.growth_items:
        yield _more(options.growth_items, options.rounds)


def _season(days: int) -> str:
    end = START + timedelta(days=days)
    with _platform() as platform, _shop(SESSIONS, START, end) as shop:
        publish_songs(platform, SONGS)
        taken = [
            _run(platform, shop, day, day + _ONE_DAY)
            for day in (START + timedelta(days=ahead) for ahead in range(days))
        ]
        failure = _missing(platform, shop.truth(START, end)["items"])
    compared = min(10, max(1, days // 3))
    title = f"{days} days of {SESSIONS} sessions, one by one"
    columns = {f"first {compared}": taken[:compared], f"last {compared}": taken[-compared:]}
    return growth_table(title, columns, failure)


def _more(items: int, rounds: int) -> str:
    """The days are a week after the history, and do not look back: the two shops have sold differently before."""
    history_end = START + timedelta(days=_HISTORY)
    sessions = round(items / _ITEMS_PER_SESSION / _HISTORY)
    first = history_end + timedelta(days=7)
    end = first + timedelta(days=rounds)
    with (
        _platform(DEFTUNES_LOOK_BACK="0") as small,
        _platform(DEFTUNES_LOOK_BACK="0") as large,
        _shop(SESSIONS, _OPENED, end) as shop,
    ):
        for platform in (small, large):
            publish_songs(platform, SONGS)
        _run(small, shop, history_end - _ONE_DAY, history_end)
        with _shop(sessions, _OPENED, end) as big:
            _run(large, big, START, history_end)
            before = big.truth(START, history_end)["items"]
        taken: dict[str, list[Taken]] = {"one day": [], f"{before} items": []}
        for ahead in range(rounds):
            day = first + timedelta(days=ahead)
            for platform, measured in zip((small, large), taken.values(), strict=True):
                measured.append(_run(platform, shop, day, day + _ONE_DAY))
        sold = shop.truth(first, end)["items"]
        failure = _missing(large, before + sold)
        failure = failure or _missing(small, shop.truth(history_end - _ONE_DAY, history_end)["items"] + sold)
    return growth_table(f"one more day of {SESSIONS} sessions, on top of", taken, failure)


@contextmanager
def _platform(**variables: str) -> Iterator[Platform]:
    """An empty home with its services up."""
    with TemporaryDirectory() as folder:
        platform = Platform(
            Path(folder) / "home", DEFTUNES_API_URL="http://127.0.0.1:9", DEFTUNES_ENGINE="embedded", **variables
        )
        try:
            platform.up(Service.AWS, Service.POSTGRES)
            yield platform
        finally:
            platform.down()


@contextmanager
def _shop(sessions: int, opened: date, closed: date) -> Iterator[Simulator]:
    clock = f"{closed + timedelta(days=30)}T00:00:00"  # all days are over
    with running_simulator(users=USERS, sessions_per_day=sessions, start=str(opened), clock=clock) as simulator:
        yield simulator


def _run(platform: Platform, shop: Simulator, start: date, end: date) -> Taken:
    return platform.run("run", "api", "--start", str(start), "--end", str(end), "--json", DEFTUNES_API_URL=shop.url)


def _missing(platform: Platform, expected: int) -> str:
    items = sum(items for items, _ in sales_in(platform.warehouse(), f"{SERVING_SCHEMA}.fact_session").values())
    return "" if items == expected else f"other data: {items} items, expected {expected}"


def growth_table(title: str, columns: Mapping[str, Sequence[Taken]], failure: str) -> str:
    """Two columns, before and after: the median seconds of each stage, and how many times as long it takes after."""
    before, after = columns.values()
    names = "".join(f" {name:>16}" for name in columns)
    lines = [f"\n{title}"]
    if failure:
        return "\n".join([*lines, failure])
    lines.append(f"{'seconds':16}{names} {'ratio':>7}")
    for stage in (*STAGES, "all", "processor"):
        first, last = (statistics.median(_seconds(taken, stage) for taken in column) for column in (before, after))
        ratio = f"{last / first:.2f} x" if first else "-"
        lines.append(f"{stage:16} {first:16.2f} {last:16.2f} {ratio:>7}")
    first, last = (max(taken.mebibytes for taken in column) for column in (before, after))
    lines.append(f"{'peak MiB':16} {first:16} {last:16} {last / first:>5.2f} x")
    return "\n".join(lines)


def _seconds(taken: Taken, stage: str) -> float:
    """`all`: the whole process, with its start. `processor`: what it used of one, however busy the machine was."""
    whole = {"all": taken.seconds, "processor": taken.processor}
    return whole[stage] if stage in whole else taken.stages.get(stage, 0.0)
