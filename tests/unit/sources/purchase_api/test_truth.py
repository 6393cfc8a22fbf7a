"""The shop's own sums are the sums of what it sends, to the cent."""

import asyncio
import json
from collections import Counter
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from purchase_api import times
from purchase_api.bad_records import ALL_KINDS
from purchase_api.shop import Plan, Shop
from purchase_api.state import BadRecords, State
from purchase_api.tracks import invented

START = date(2020, 1, 1)


def open_shop(clock: str = "2020-04-01T00:00:00Z", cache_bytes: int = 1 << 20) -> Shop:
    return Shop(Plan(1, 80, 60, START), lambda: invented(1), State(clock, START, None), cache_bytes)


def sent(shop: Shop, start: date, end: date, now: int) -> list[bytes]:
    async def ask() -> list[bytes]:
        days = [start + timedelta(days=number) for number in range((end - start).days)]
        return [record for day in days for record in await shop.sessions(day, now)]

    return asyncio.run(ask())


def read(records: list[bytes]) -> list[Any]:
    return [json.loads(record, parse_float=Decimal) for record in records]


def test_revenue_is_what_was_sent() -> None:
    shop = open_shop()
    end = START + timedelta(days=40)
    sessions = read(sent(shop, START, end, shop.state.now))
    truth: Any = shop.truth(START, end, shop.state.now)
    revenue: Counter[str] = Counter()
    artists: Counter[tuple[str, str]] = Counter()
    for session in sessions:
        for item in session["session_items"]:
            revenue[item["currency"]] += item["price"]
            artists[item["artist_id"], item["currency"]] += item["price"]
    assert truth["sessions"] == len(sessions)
    assert truth["items"] == sum(len(session["session_items"]) for session in sessions)
    assert {currency: Decimal(total) for currency, total in truth["revenue"].items()} == revenue
    per_artist = {
        (row["artist_id"], row["currency"]): Decimal(row["total_sales"])
        for row in truth["sales_per_artist"]
    }  # fmt: skip
    assert per_artist == artists
    per_country = sum(Decimal(row["total_sales"]) for row in truth["sales_per_country"])
    assert per_country == sum(revenue.values())
    assert {row["session_month"] for row in truth["sales_per_country"]} == {1, 2}
    assert (truth["bad"], truth["odd"]) == ([], [])


def test_revenue_is_what_is_known_now() -> None:
    shop = open_shop()
    end = START + timedelta(days=5)
    now = times.midnight(START + timedelta(days=3)) + 1000
    truth: Any = shop.truth(START, end, now)
    assert truth["sessions"] == len(sent(shop, START, end, now))
    assert truth["sessions"] < shop.truth(START, end, shop.state.now)["sessions"]  # type: ignore[operator]


def test_bad_records_come_beside_the_good_ones() -> None:
    shop = open_shop()
    good = sent(shop, START, START + timedelta(days=7), shop.state.now)
    shop.state.bad_records = BadRecords(kinds="all")
    both = sent(shop, START, START + timedelta(days=7), shop.state.now)
    truth: Any = shop.truth(START, START + timedelta(days=7), shop.state.now)
    added = Counter(both) - Counter(good)
    assert not Counter(good) - Counter(both)
    assert {case["kind"] for case in [*truth["bad"], *truth["odd"]]} == set(ALL_KINDS)
    listed = {case["record"].encode() for case in [*truth["bad"], *truth["odd"]] if case["entity"] == "sessions"}
    assert set(added) == listed
    shop.state.bad_records = BadRecords()
    assert Counter(sent(shop, START, START + timedelta(days=7), shop.state.now)) == Counter(good)


def test_the_order_is_shuffled_and_always_the_same() -> None:
    one = sent(open_shop(), START, START + timedelta(days=1), times.midnight(START) + 10 * times.DAY)
    same = sent(open_shop(), START, START + timedelta(days=1), times.midnight(START) + 10 * times.DAY)
    shop = open_shop()
    shop.state.behaviour = shop.state.behaviour.model_copy(update={"shuffle": 1})
    other = sent(shop, START, START + timedelta(days=1), times.midnight(START) + 10 * times.DAY)
    assert one == same
    assert one != other
    assert sorted(one) == sorted(other)


def test_a_full_cache_forgets_and_answers_the_same() -> None:
    small, large = open_shop(cache_bytes=1), open_shop(cache_bytes=1 << 30)
    end = START + timedelta(days=5)
    for _ in range(2):
        assert sent(small, START, end, small.state.now) == sent(large, START, end, large.state.now)


def test_there_is_nothing_before_the_shop_opens() -> None:
    shop = open_shop()
    assert sent(shop, START - timedelta(days=3), START, shop.state.now) == []
