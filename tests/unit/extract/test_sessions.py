import contextlib
import json
import re
import tempfile
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from deftunes.adapters.http import PurchaseApi
from deftunes.adapters.jsonarray import JsonArray
from deftunes.core import layout
from deftunes.core.entities import Entity
from deftunes.core.errors import DeftunesError, RefusedError, RetriableError
from deftunes.core.interval import ONE_DAY, Interval, read_instant
from deftunes.extract.asked import Asked
from deftunes.extract.landed import Landed
from deftunes.extract.sessions import _DayPartitioner, day_of, land_sessions
from deftunes.state.landings import Landings, days_to_ask
from deftunes.transform.conform import session_rows, user_rows
from support.api import NOW, Reply, StubApi, json_reply, stub_api
from support.lakes import MemoryLake, landed_records

JANUARY = Interval(date(2026, 1, 1), date(2026, 2, 1))
DAY = date(2026, 1, 10)
_DATES = re.compile(r"start_date=([-\d]+)&end_date=([-\d]+)")
NEXT = "Fri, 02 Jan 2026 12:00:00 GMT"


def session(number: int, start: object) -> dict[str, Any]:
    return {
        "user_id": f"{number:036}",
        "session_id": f"{number:036}",
        "session_items": [],
        "user_agent": "x",
        "session_start_time": start,
    }


class Shop:
    """An API over a list of sessions. `inclusive`: what it means by `end_date`; `zone`: where its dates are."""

    def __init__(self, sessions: list[Any], *, inclusive: bool, zone: timezone | None) -> None:
        self.sessions = sessions
        self.inclusive = inclusive
        self.zone = zone

    def date_of(self, session: Any) -> date | None:
        text = session.get("session_start_time") if isinstance(session, dict) else None
        instant = read_instant(text)
        if instant is None:
            return None
        return instant.astimezone(self.zone).date() if self.zone else date.fromisoformat(str(text)[:10])

    def __call__(self, _path: str, query: dict[str, str]) -> Reply:
        start, end = date.fromisoformat(query["start_date"]), date.fromisoformat(query["end_date"])
        last = end if self.inclusive else end - ONE_DAY
        # What has no readable time comes with every answer.
        dates = ((session, self.date_of(session)) for session in self.sessions)
        return json_reply(*(session for session, day in dates if day is None or start <= day <= last))


def land(stub: StubApi, lake: MemoryLake, interval: Interval = JANUARY, **options: Any) -> Landed:
    days = options.pop("days", None) or tuple(interval.days())
    arguments = {"max_shrink": 0.2, "concurrency": 4, **options}
    with PurchaseApi(stub.url, budget=0, timeout=5, now=lambda: NOW) as api:
        return land_sessions(api, Landings(lake, Entity.SESSIONS), interval, days, **arguments)


def in_use(lake: MemoryLake, interval: Interval = JANUARY) -> dict[str, list[bytes]]:
    """The records of the landings in use, by unit."""
    found = Landings(lake, Entity.SESSIONS).in_use_between(interval)
    return {unit: landed_records(lake, receipt) for unit, receipt in found.items()}


OFFSETS = st.integers(-13 * 60 - 59, 13 * 60 + 59).map(lambda minutes: timezone(timedelta(minutes=minutes)))
STARTS = st.builds(
    lambda instant, offset: instant.isoformat() if offset is None else instant.astimezone(offset).isoformat(),
    st.datetimes(datetime(2025, 12, 29), datetime(2026, 2, 3), timezones=st.just(UTC))  # noqa: DTZ001
    | st.builds(
        lambda day, edge: datetime.combine(date(2025, 12, 30) + timedelta(days=day), edge, UTC),
        st.integers(0, 35),
        st.sampled_from([datetime.max.time(), datetime.min.time()]),
    ),
    st.none() | OFFSETS,
)


@settings(max_examples=8)
@given(
    st.lists(STARTS, min_size=1, max_size=60),
    st.booleans(),
    st.sampled_from([UTC, None, timezone(timedelta(hours=14)), timezone(timedelta(hours=-12))]),
    st.integers(1, 8),
    st.randoms(use_true_random=False),
)
def test_every_session_lands_once_in_its_utc_day_whatever_the_api_means(
    starts: list[str], inclusive: bool, zone: timezone | None, concurrency: int, rng: Random
) -> None:
    # A naive time is UTC for us; as sent it has no zone at all.
    texts = [start.removesuffix("+00:00") if rng.random() < 0.5 else start for start in starts]
    sold = [session(number, text) for number, text in enumerate(texts)]
    lake = MemoryLake()
    with stub_api() as stub:
        stub.otherwise = Shop(sold, inclusive=inclusive, zone=zone)
        land(stub, lake, concurrency=concurrency)

    landed = in_use(lake)

    assert list(landed) == [layout.day_unit(day) for day in JANUARY.days()]
    for unit, lines in landed.items():
        expected = [one for one in sold if str(read_instant(one["session_start_time"]))[:10] == unit]
        assert sorted(json.loads(line)["session_id"] for line in lines) == [one["session_id"] for one in expected]


def edges_of(interval: Interval) -> list[str]:
    """The times at which a record may slip into another day: both ends of each day, seen from far away zones."""
    zones = [timezone(timedelta(minutes=minutes)) for minutes in (-13 * 60 - 59, 0, 13 * 60 + 59)]
    ends = (datetime.min.time(), datetime.max.time())
    around = interval.widened(1).days()
    return [
        datetime.combine(day, end, UTC).astimezone(zone).isoformat() for day in around for end in ends for zone in zones
    ]


@pytest.mark.parametrize("inclusive", [True, False])
@pytest.mark.parametrize("zone", [UTC, None, timezone(timedelta(hours=14)), timezone(timedelta(hours=-12))])
def test_the_edges_of_every_day_land_in_it(
    stub: StubApi, lake: MemoryLake, zone: timezone | None, inclusive: bool
) -> None:
    sold = [session(number, start) for number, start in enumerate(edges_of(JANUARY))]
    stub.otherwise = Shop(sold, inclusive=inclusive, zone=zone)

    land(stub, lake)

    assert {unit: len(lines) for unit, lines in in_use(lake).items()} == {str(day): 6 for day in JANUARY.days()}


def test_each_day_has_a_receipt_with_its_requests_and_the_earliest_clock(stub: StubApi, lake: MemoryLake) -> None:
    late = json_reply(session(1, "2026-01-02T10:00:00"), date="Thu, 01 Jan 2026 12:00:07 GMT")
    stub.otherwise = lambda _path, query: late if query["start_date"] == "2026-01-02" else json_reply()

    landed = land(stub, lake)

    receipts = Landings(lake, Entity.SESSIONS).in_use_between(JANUARY)
    assert len(receipts) == len(landed.written) == 31
    assert {receipt.extracted_at for receipt in receipts.values()} == {datetime(2026, 1, 1, 12, tzinfo=UTC)}
    assert {request for receipt in receipts.values() for request in receipt.requests} == {
        f"GET {target}" for target in stub.asked
    }
    assert "GET /sessions?start_date=2026-01-02&end_date=2026-01-03" in receipts["2026-01-02"].requests
    assert (receipts["2026-01-02"].rows, receipts["2026-01-03"].rows, receipts["2026-01-03"].parts) == (1, 0, ())
    assert (landed.rows, landed.tries) == (1, len(stub.asked))


def dates_asked(stub: StubApi) -> list[tuple[str, str]]:
    return sorted((found[1], found[2]) for target in stub.asked if (found := _DATES.search(target)))


def busy_month() -> list[dict[str, Any]]:
    """A session each hour of December to February."""
    hours = (datetime(2025, 12, 1, tzinfo=UTC) + timedelta(hours=hour) for hour in range(90 * 24))
    return [session(number, instant.isoformat()) for number, instant in enumerate(hours)]


def test_an_api_that_counts_end_date_is_asked_for_each_date_once(stub: StubApi, lake: MemoryLake) -> None:
    stub.otherwise = Shop(busy_month(), inclusive=True, zone=UTC)

    assert land(stub, lake).rows == 31 * 24

    # From New Year's Eve to the first of February, and one after it.
    asked = [date(2025, 12, 31) + timedelta(days=number) for number in range(34)]
    pairs = zip(asked[::2], asked[1::2], strict=True)
    assert dates_asked(stub) == [(f"{start}", f"{end}") for start, end in pairs]


@pytest.mark.parametrize(
    ("inclusive", "zone"),
    [
        (False, UTC),  # what a pair brings is its first date
        (True, timezone(timedelta(hours=14))),  # its second date is over before it can be told from the first
    ],
)
def test_a_date_that_an_answer_does_not_show_is_asked_for_again(
    stub: StubApi, lake: MemoryLake, inclusive: bool, zone: timezone
) -> None:
    stub.otherwise = Shop(busy_month(), inclusive=inclusive, zone=zone)

    assert land(stub, lake).rows == 31 * 24

    starts = [start for start, _ in dates_asked(stub)]
    assert starts == [f"{date(2025, 12, 31) + timedelta(days=number)}" for number in range(33)]
    assert {unit: len(lines) for unit, lines in in_use(lake).items()} == {f"{day}": 24 for day in JANUARY.days()}


def test_a_session_that_changed_between_two_answers_lands_as_the_later_one_has_it(
    stub: StubApi, lake: MemoryLake
) -> None:
    # Noon is no sign that the date was counted, so each second date is asked for again.
    sold = [session(number, f"{day}T12:00:00") for number, day in enumerate(JANUARY.widened(2).days())]
    shop = Shop(sold, inclusive=True, zone=UTC)

    def answer(path: str, query: dict[str, str]) -> Reply:
        records = json.loads(shop(path, query).body)
        return json_reply(*({**record, "user_agent": query["start_date"]} for record in records))

    stub.otherwise = answer
    land(stub, lake)

    landed = [json.loads(line) for lines in in_use(lake).values() for line in lines]
    assert [(one["session_start_time"][:10], one["user_agent"]) for one in landed] == [
        (f"{day}", f"{day}") for day in JANUARY.days()
    ]


def test_records_that_came_twice_in_one_answer_land_twice(stub: StubApi, lake: MemoryLake) -> None:
    twice = [session(1, "2026-01-10T12:00:00"), session(1, "2026-01-10T12:00:00")]
    other = {**session(1, "2026-01-10T12:00:00"), "user_agent": "another"}
    nameless = [{"session_start_time": "2026-01-11T12:00:00"}, {"session_start_time": "2026-01-11T12:00:00", "a": 1}]
    stub.otherwise = Shop([*twice, other, *nameless], inclusive=True, zone=UTC)

    land(stub, lake)

    assert [len(in_use(lake)[day]) for day in ("2026-01-10", "2026-01-11")] == [3, 2]


def test_records_without_a_session_in_them_are_let_pass_where_they_come_with_every_answer(
    stub: StubApi, lake: MemoryLake
) -> None:
    stub.otherwise = Shop([{"strange": 1}, session(1, "2026-01-10T12:00:00")], inclusive=True, zone=UTC)

    land(stub, lake)

    found = in_use(lake)
    assert (len(found["2026-01-10"]), found["2026-01-01~unplaced"]) == (1, [b'{"strange": 1}'])


def test_an_empty_interval_is_a_success(stub: StubApi, lake: MemoryLake) -> None:
    assert land(stub, lake, Interval(DAY, DAY + ONE_DAY)).written == ("2026-01-10",)
    assert in_use(lake) == {"2026-01-10": []}


def test_the_same_sessions_again_write_nothing_also_by_other_requests(stub: StubApi, lake: MemoryLake) -> None:
    sold = [session(number, f"2026-01-{number % 31 + 1:02}T12:00:00") for number in range(100)]
    sold.append(session(100, "yesterday"))
    stub.otherwise = Shop(sold, inclusive=True, zone=UTC)
    land(stub, lake)
    before = dict(lake.objects)

    stub.otherwise = Shop(sold[::-1], inclusive=False, zone=UTC)
    landed = land(stub, lake, concurrency=1)

    assert (landed.written, len(landed.unchanged)) == ((), 32)
    assert lake.objects == before


def test_a_changed_day_lands_and_the_others_stand(stub: StubApi, lake: MemoryLake) -> None:
    sold = [session(number, f"2026-01-{number % 31 + 1:02}T12:00:00") for number in range(100)]
    stub.otherwise = Shop(sold, inclusive=True, zone=UTC)
    land(stub, lake)

    stub.otherwise = Shop([*sold, session(100, "2026-01-10T23:59:59.999999")], inclusive=True, zone=UTC)

    assert land(stub, lake).written == ("2026-01-10",)


def test_days_of_an_answer_older_than_their_landings_in_use_are_told_of_and_not_called_written(
    stub: StubApi, lake: MemoryLake
) -> None:
    asked = Interval(DAY, DAY + 2 * ONE_DAY)
    stub.otherwise = lambda _path, _query: json_reply(session(1, "2026-01-10T12:00:00"), date=NEXT)
    land(stub, lake, Interval(DAY, DAY + ONE_DAY))

    stub.otherwise = Shop(
        [session(2, "2026-01-10T12:00:00"), session(3, "2026-01-11T12:00:00")], inclusive=True, zone=UTC
    )
    landed = land(stub, lake, asked)

    assert (landed.written, landed.unchanged) == (("2026-01-11",), ())
    (note,) = landed.notes
    assert "units: 1, first: 2026-01-10" in note
    assert [len(lines) for lines in in_use(lake, asked).values()] == [1, 1]


def test_records_without_a_readable_time_land_once_beside_the_days(stub: StubApi, lake: MemoryLake) -> None:
    strange: list[Any] = [session(1, None), session(2, "2026-02-30T00:00:00"), {"user_id": 1}, 17, None, "x", [1]]
    stub.otherwise = Shop([*strange, strange[0], session(3, "2026-01-20T00:00:00")], inclusive=True, zone=UTC)

    landed = land(stub, lake)

    assert in_use(lake)["2026-01-01~unplaced"] == [json.dumps(record).encode() for record in strange]
    assert "2026-01-01~unplaced" in landed.written
    assert len(in_use(lake)["2026-01-20"]) == 1


def test_repaired_times_empty_the_undated_landing(stub: StubApi, lake: MemoryLake) -> None:
    stub.otherwise = Shop([session(1, None), session(2, "2026-01-20T00:00:00")], inclusive=True, zone=UTC)
    land(stub, lake)

    stub.otherwise = Shop(
        [session(1, "2026-01-19T00:00:00"), session(2, "2026-01-20T00:00:00")], inclusive=True, zone=UTC
    )
    landed = land(stub, lake)

    assert landed.written == ("2026-01-19", "2026-01-01~unplaced")
    assert in_use(lake)["2026-01-01~unplaced"] == []


@pytest.mark.parametrize("asked", [0, 1])
@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Reply(status=503), RetriableError),
        (Reply(b'[{"session_id":1},'), RetriableError),
        (Reply(b"<html></html>"), DeftunesError),
        (Reply(b'{"error":1}'), DeftunesError),
        (Reply(b""), DeftunesError),
        (Reply(b"[1,2,3]"), DeftunesError),
        (json_reply({"user_id": "u", "user_name": "n"}), DeftunesError),
    ],
    ids=str,
)
def test_one_broken_answer_lands_nothing(
    stub: StubApi, lake: MemoryLake, asked: int, reply: Reply, kind: type[DeftunesError]
) -> None:
    sold = [session(number, f"2026-01-{number % 31 + 1:02}T12:00:00") for number in range(100)]
    shop = Shop(sold, inclusive=True, zone=UTC)
    stub.script = [*(shop("", {"start_date": "2026-01-01", "end_date": "2026-01-02"}) for _ in range(asked)), reply]
    stub.otherwise = shop

    with pytest.raises(kind) as caught:
        land(stub, lake)

    assert type(caught.value) is kind
    assert lake.objects == {}


def test_the_shrink_check_is_over_the_whole_interval(stub: StubApi, lake: MemoryLake) -> None:
    sold = [session(number, f"2026-01-{number % 31 + 1:02}T12:00:00") for number in range(310)]
    stub.otherwise = Shop(sold, inclusive=True, zone=UTC)
    land(stub, lake)
    before = dict(lake.objects)

    # A day that lost everything is 3 % of the month, and a month that lost a quarter is refused.
    stub.otherwise = Shop([one for one in sold if "-10T" not in one["session_start_time"]], inclusive=True, zone=UTC)
    assert land(stub, lake).written == ("2026-01-10",)
    stub.otherwise = Shop(sold[:225], inclusive=True, zone=UTC)
    before = dict(lake.objects)
    with pytest.raises(RefusedError, match=r"sessions \[2026-01-01, 2026-02-01\): .* 300 .* 225.*--accept-shrink"):
        land(stub, lake)
    assert lake.objects == before

    assert land(stub, lake, accept_shrink=True).rows == 225


def test_unreadable_times_everywhere_are_a_shrunk_answer(stub: StubApi, lake: MemoryLake) -> None:
    stub.otherwise = Shop([session(n, "2026-01-10T12:00:00") for n in range(9)], inclusive=True, zone=UTC)
    land(stub, lake)

    stub.otherwise = Shop([session(n, "10/01/2026 12:00") for n in range(9)], inclusive=True, zone=UTC)
    with pytest.raises(RefusedError):
        land(stub, lake)


def test_look_back_asks_again_for_days_that_are_landed_and_brings_in_no_other(stub: StubApi, lake: MemoryLake) -> None:
    landings = Landings(lake, Entity.SESSIONS)
    asked = Interval(DAY, DAY + 2 * ONE_DAY)
    assert days_to_ask(landings, asked, 3) == tuple(asked.days())
    for day in (DAY - 5 * ONE_DAY, DAY - 3 * ONE_DAY, DAY - ONE_DAY):
        land(stub, lake, Interval(day, day + ONE_DAY))

    days = days_to_ask(landings, asked, 3)

    assert days == (DAY - 3 * ONE_DAY, DAY - ONE_DAY, DAY, DAY + ONE_DAY)
    assert days_to_ask(landings, asked, 0) == tuple(asked.days())
    stub.otherwise = Shop([session(1, "2026-01-08T12:00:00")], inclusive=True, zone=UTC)
    assert land(stub, lake, asked.widened(3), days=days).written == ("2026-01-10", "2026-01-11")
    assert "2026-01-08" not in in_use(lake)


def test_days_that_are_dated_in_the_future_shut_out_nothing(stub: StubApi, lake: MemoryLake) -> None:
    interval = Interval(DAY, DAY + 2 * ONE_DAY)
    start = f"{DAY}T12:00:00"
    stub.otherwise = lambda _path, _query: json_reply(session(1, start), session(2, None))
    land(stub, lake, interval)
    future = datetime(2060, 1, 1, tzinfo=UTC)
    for receipt in Landings(lake, Entity.SESSIONS).in_use_between(interval).values():
        wrong = replace(receipt, extracted_at=future)
        lake.put_json(f"{wrong.key}/{layout.RECEIPT}", wrong.to_json())
    assert {receipt.extracted_at for receipt in Landings(lake, Entity.SESSIONS).in_use_between(interval).values()} == {
        future
    }
    stub.otherwise = lambda _path, _query: json_reply(session(1, start), session(3, start), session(4, None), date=NEXT)

    landed = land(stub, lake, interval)

    assert set(landed.written) == {f"{DAY}", f"{DAY}~unplaced"}
    assert "withdrawn (landings: 3" in landed.notes[0]
    assert len(in_use(lake, interval)[f"{DAY}"]) == 2


def test_sessions_of_long_before_those_in_use_are_refused(stub: StubApi, lake: MemoryLake) -> None:
    stub.otherwise = lambda _path, _query: json_reply(session(1, f"{DAY}T12:00:00"))
    land(stub, lake)
    before = dict(lake.objects)
    reset = "Thu, 01 Jan 1970 00:00:10 GMT"
    stub.otherwise = lambda _path, _query: json_reply(*(session(n, f"{DAY}T12:00:00") for n in (1, 2)), date=reset)

    with pytest.raises(RefusedError, match=f"sessions {DAY}.*1970"):
        land(stub, lake)
    assert lake.objects == before


_TEXTS = st.text() | st.sampled_from(["x" * 3000, "\ud83d", "\x00", "2026-01-10T12:00:00", "2026-W02-6T12"])
_VALUES = st.recursive(
    st.none() | st.booleans() | _TEXTS | st.floats(allow_nan=False, allow_infinity=False) | st.integers(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXTS, inner, max_size=3),
    max_leaves=6,
).map(json.dumps)
_RAW = st.sampled_from(
    [
        "[" * 1500 + "]" * 1500,
        '{"a":' * 1200 + "1" + "}" * 1200,
        "1e999999",
        '"\\ud800"',
        "-0.0",
        "9" * 4299,
        "-" + "9" * 5000,
    ]
)


@settings(max_examples=50, phases=[Phase.generate])
@given(
    st.lists(
        st.dictionaries(
            st.sampled_from(["session_id", "user_id", "session_items", "session_start_time", "new"]) | _TEXTS,
            _VALUES | _RAW,
            max_size=2,
        ),
        max_size=2,
    )
)
def test_no_record_stops_another(strange: list[dict[str, str]]) -> None:
    good = json.dumps(session(1, f"{DAY}T12:00:00"))
    texts = ["{" + ",".join(f"{json.dumps(k)}:{v}" for k, v in record.items()) + "}" for record in strange]
    with tempfile.TemporaryFile() as body, tempfile.TemporaryDirectory() as folder:
        body.write(f"[{','.join([*texts, good])}]".encode())
        found = [line for batch in JsonArray(body).lines() for line in batch]
        partitioner = _DayPartitioner(Asked(DAY, DAY + ONE_DAY), [DAY], Path(folder))
        with contextlib.closing(partitioner):
            partitioner.receive(found)
            partitioner.files[DAY].finish()
        undated = partitioner.undated.read_bytes().splitlines()
    assert [record.decode() for record in found] == [*texts, good]
    days = [day_of(record) for record in found]
    assert partitioner.files[DAY].rows == days.count(DAY)
    assert undated == [record for record, day in zip(found, days, strict=True) if day is None]
    for record in found:
        assert next(session_rows(record.decode()))["record"] == record.decode()
        assert next(user_rows(record.decode()))["record"] == record.decode()
