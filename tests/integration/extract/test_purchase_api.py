import json
import multiprocessing
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from deftunes.adapters.http import PurchaseApi
from deftunes.adapters.lake import Lake
from deftunes.core import failpoints, layout
from deftunes.core.entities import Entity
from deftunes.core.errors import DeftunesError, RefusedError, RetriableError
from deftunes.core.failpoints import Failpoint
from deftunes.core.interval import ONE_DAY, Interval
from deftunes.extract.landed import Landed
from deftunes.extract.sessions import land_sessions
from deftunes.extract.users import land_users
from deftunes.state.landings import Landings, Receipt, days_to_ask
from support.lakes import landed_records
from support.simulator import Simulator, running_simulator

JANUARY = Interval(date(2020, 1, 1), date(2020, 2, 1))
MARCH_FIRST = datetime(2020, 3, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def shop() -> Iterator[Simulator]:
    with running_simulator(seed=5, users=80, sessions_per_day=12, start="2019-12-15", clock="2020-03-01") as simulator:
        yield simulator


@pytest.fixture
def simulator(shop: Simulator) -> Simulator:
    """The shop with everything switched back."""
    shop.clock(MARCH_FIRST)
    shop.faults()
    shop.bad([])
    shop.behaviour()
    return shop


def sessions(simulator: Simulator, lake: Lake, interval: Interval = JANUARY, **options: Any) -> Landed:
    landings = Landings(lake, Entity.SESSIONS)
    days = days_to_ask(landings, interval, options.pop("look_back", 0))
    budget = options.pop("budget", 20.0)
    with PurchaseApi(simulator.url, budget=budget, timeout=10) as api:
        defaults: dict[str, Any] = {"max_shrink": 0.2, "concurrency": 4}
        return land_sessions(api, landings, interval, days, **{**defaults, **options})


def users(simulator: Simulator, lake: Lake, **options: Any) -> Landed:
    with PurchaseApi(simulator.url, budget=options.pop("budget", 20.0), timeout=10) as api:
        return land_users(api, Landings(lake, Entity.USERS), JANUARY, **{"max_shrink": 0.2, **options})


def in_use(lake: Lake) -> dict[str, Receipt]:
    found = Landings(lake, Entity.SESSIONS).in_use_between(Interval(date(2019, 12, 1), date(2020, 4, 1)))
    users = Landings(lake, Entity.USERS).in_use(layout.SNAPSHOT)
    return {**found, **({layout.SNAPSHOT: users} if users else {})}


def digests(lake: Lake) -> dict[str, str]:
    return {unit: receipt.digest for unit, receipt in in_use(lake).items()}


def test_a_month_and_the_users_are_landed_to_the_cent(simulator: Simulator, lake: Lake) -> None:
    truth = simulator.truth(JANUARY.start, JANUARY.end)

    landed = sessions(simulator, lake)
    people = users(simulator, lake)

    assert (landed.rows, people.rows) == (truth["sessions"], truth["users"])
    lines = [line for receipt in in_use(lake).values() for line in landed_records(lake, receipt)]
    total: dict[str, Decimal] = {}
    for line in lines:
        for item in json.loads(line, parse_float=Decimal).get("session_items", ()):
            total[item["currency"]] = total.get(item["currency"], Decimal()) + item["price"]
    assert total
    assert {currency: f"{amount:.2f}" for currency, amount in total.items()} == truth["revenue"]
    assert {receipt.extracted_at for receipt in in_use(lake).values()} == {MARCH_FIRST}


def test_the_same_month_again_writes_nothing_whatever_the_habits_of_the_api(simulator: Simulator, lake: Lake) -> None:
    sessions(simulator, lake)
    users(simulator, lake)
    before = list(lake.keys(""))

    for habits in ({"end_date": "exclusive"}, {"shuffle": 3}, {"page_size": 37}, {"page_size": 1000, "shuffle": 9}):
        simulator.behaviour(**habits)
        assert sessions(simulator, lake).written == ()
        assert users(simulator, lake).written == ()

    assert list(lake.keys("")) == before


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "status", "status": 503},
        {"kind": "status", "status": 429, "retry_after": "1"},
        {"kind": "reset"},
        {"kind": "reset_midway"},
        {"kind": "truncated_length"},
        {"kind": "truncated_chunked"},
        {"kind": "malformed_json"},
    ],
    ids=lambda fault: fault["kind"],
)
def test_a_burst_of_faults_leaves_no_trace(simulator: Simulator, lake: Lake, fault: dict[str, Any]) -> None:
    simulator.behaviour(page_size=100)
    sessions(simulator, lake)
    users(simulator, lake)
    before = digests(lake)
    other = Lake(lake._client, lake.bucket, f"{lake.prefix}other")
    simulator.faults({**fault, "after": 2, "requests": 3})

    landed = sessions(simulator, other)
    users(simulator, other)

    assert simulator.struck() == 3
    assert digests(other) == before
    assert landed.tries > len(in_use(lake)["2020-01-01"].requests)


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ({"kind": "html"}, DeftunesError),
        ({"kind": "error_object"}, DeftunesError),
        ({"kind": "empty_body"}, DeftunesError),
        ({"kind": "wrong_values"}, DeftunesError),
        ({"kind": "wrong_records"}, DeftunesError),
        ({"kind": "status", "status": 404}, DeftunesError),
        ({"kind": "empty_array"}, RefusedError),
        ({"kind": "short", "share": 0.5}, RefusedError),
        ({"kind": "malformed_json"}, RetriableError),
        ({"kind": "status", "status": 500}, RetriableError),
    ],
    ids=lambda value: value["kind"] if isinstance(value, dict) else value.__name__,
)
def test_a_broken_source_changes_nothing(
    simulator: Simulator, lake: Lake, fault: dict[str, Any], kind: type[DeftunesError]
) -> None:
    sessions(simulator, lake)
    users(simulator, lake)
    before = list(lake.keys(""))
    simulator.faults(fault)

    for extract in (sessions, users):
        with pytest.raises(kind) as caught:
            extract(simulator, lake, budget=0.0)
        assert type(caught.value) is kind

    assert list(lake.keys("")) == before


def test_every_record_that_cannot_be_placed_is_landed_and_stops_nothing(simulator: Simulator, lake: Lake) -> None:
    simulator.bad("all", days=[date(2020, 1, 9), date(2020, 1, 31)])
    bad = simulator.truth(JANUARY.start, JANUARY.end)["bad"]
    undated = {addition["record"] for addition in bad if addition["entity"] == "sessions" and not addition["placed"]}
    assert len(undated) > 10

    sessions(simulator, lake)

    found = in_use(lake)
    assert {line.decode() for line in landed_records(lake, found["2020-01-01~unplaced"])} == undated
    placed = {
        line.decode() for unit, receipt in found.items() if "~" not in unit for line in landed_records(lake, receipt)
    }
    assert {addition["record"] for addition in bad if addition["entity"] == "sessions"} - undated <= placed


def test_an_empty_interval_is_a_success_and_a_rerun_of_it_writes_nothing(simulator: Simulator, lake: Lake) -> None:
    nothing = Interval(date(2019, 11, 1), date(2019, 11, 3))

    assert sessions(simulator, lake, nothing).written == ("2019-11-01", "2019-11-02")
    assert sessions(simulator, lake, nothing).written == ()


def test_look_back_lands_late_sessions_and_changed_likes(simulator: Simulator, lake: Lake) -> None:
    week = Interval(date(2020, 2, 21), date(2020, 2, 28))
    simulator.clock("2020-02-28T00:00:00")
    sessions(simulator, lake, week)
    early = in_use(lake)
    simulator.clock("2020-02-29T00:00:00")

    landed = sessions(simulator, lake, Interval(week.end, week.end + ONE_DAY), look_back=9)

    changed = set(landed.written) - {"2020-02-28"}
    assert changed
    assert changed | set(landed.unchanged) == set(early), "a day that was never landed was not asked for"
    for unit in changed:
        late = in_use(lake)[unit]
        assert late.extracted_at == datetime(2020, 2, 29, tzinfo=UTC)
        assert late.rows >= early[unit].rows
        assert lake.get(early[unit].parts[0].key), "the landing before stays"


def land_and_die(url: str, lake: Lake, failpoint: Failpoint) -> None:
    failpoints.arm(failpoint)
    with PurchaseApi(url, budget=0, timeout=10) as api:
        land_sessions(
            api, Landings(lake, Entity.SESSIONS), JANUARY, JANUARY.days(), max_shrink=0.2, concurrency=4
        )  # fmt: skip


@pytest.mark.parametrize("failpoint", [Failpoint.LANDING_BEFORE_RECEIPT, Failpoint.LANDING_AFTER_RECEIPT])
def test_killed_in_the_middle_of_a_month_the_next_run_lands_the_rest(
    simulator: Simulator, lake: Lake, failpoint: Failpoint
) -> None:
    process = multiprocessing.get_context("fork").Process(target=land_and_die, args=(simulator.url, lake, failpoint))
    process.start()
    process.join(60)
    assert process.exitcode == -9
    after_kill = digests(lake)
    assert len(after_kill) < 31

    landed = sessions(simulator, lake)

    assert set(landed.unchanged) == set(after_kill)
    assert len(landed.written) + len(after_kill) == 31
    assert after_kill.items() <= digests(lake).items()
