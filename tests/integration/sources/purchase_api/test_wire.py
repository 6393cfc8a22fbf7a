"""The simulator as a process: what a client without any library sees on the wire."""

import json
import os
import signal
import socket
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import date
from http.client import HTTPConnection, IncompleteRead
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import urlopen

import pytest

from support.simulator import Simulator, running_simulator

SESSIONS = "/sessions?start_date=2020-01-10&end_date=2020-01-12"


@pytest.fixture(scope="module")
def running() -> Iterator[Simulator]:
    with running_simulator(sessions_per_day=40) as simulator:
        yield simulator


@pytest.fixture
def simulator(running: Simulator) -> Iterator[Simulator]:
    yield running
    running.faults()
    running.bad([])
    running.behaviour()
    running.clock("2020-04-01T00:00:00Z")


@contextmanager
def connected(simulator: Simulator) -> Iterator[socket.socket]:
    address = urlsplit(simulator.url)
    assert address.hostname
    assert address.port
    with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
        yield connection


def raw(simulator: Simulator, path: str = SESSIONS) -> bytes:
    """All bytes of an answer until the server closes."""
    with connected(simulator) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: api\r\nConnection: close\r\n\r\n".encode())
        answer = bytearray()
        drain(connection, answer)
        return bytes(answer)


def drain(connection: socket.socket, into: bytearray) -> None:
    while piece := connection.recv(65536):
        into += piece


def head_and_body(answer: bytes) -> tuple[bytes, bytes]:
    head, _, body = answer.partition(b"\r\n\r\n")
    return head.lower(), body


def records(simulator: Simulator, path: str = SESSIONS) -> list[Any]:
    """What came, fractions as they were written: some have an exponent that no number holds."""
    with urlopen(simulator.url + path, timeout=30) as answer:
        read: list[Any] = json.load(answer, parse_float=str)
        return read


def ids(sessions: list[Any]) -> set[str]:
    return {session["session_id"] for session in sessions}


def test_answers_carry_the_logical_clock_and_no_other(simulator: Simulator) -> None:
    for path in (SESSIONS, "/users", "/health", "/nowhere", "/sessions?start_date=x"):
        head, _ = head_and_body(raw(simulator, path))
        assert head.count(b"\r\ndate: ") == 1
        assert b"\r\ndate: wed, 01 apr 2020 00:00:00 gmt" in head
    simulator.clock("2020-01-11T12:00:00.5Z")
    head, _ = head_and_body(raw(simulator))
    assert b"\r\ndate: sat, 11 jan 2020 12:00:00 gmt" in head


def test_the_documentation_is_served(simulator: Simulator) -> None:
    assert b"swagger" in raw(simulator, "/docs")
    paths = simulator.get("/openapi.json")["paths"]
    assert {"/users", "/sessions", "/health", "/simulator/truth"} <= paths.keys()


def test_sessions_are_those_of_the_days(simulator: Simulator) -> None:
    inclusive = records(simulator)
    simulator.behaviour(end_date="exclusive")
    exclusive = records(simulator)
    last_day = records(simulator, "/sessions?start_date=2020-01-12&end_date=2020-01-13")
    assert ids(inclusive) == ids(exclusive) | ids(last_day)
    assert ids(exclusive).isdisjoint(ids(last_day))
    assert len(exclusive) == simulator.truth(date(2020, 1, 10), date(2020, 1, 12))["sessions"]


def test_a_day_is_the_same_in_every_window(simulator: Simulator) -> None:
    whole = {session["session_id"]: session for session in records(simulator)}
    for day in (10, 11, 12):
        for session in records(simulator, f"/sessions?start_date=2020-01-{day}&end_date=2020-01-{day}"):
            assert whole.pop(session["session_id"]) == session
    assert whole == {}


def test_users_with_dates_are_those_who_joined_then(simulator: Simulator) -> None:
    everyone = {user["user_id"] for user in records(simulator, "/users")}
    some = {user["user_id"] for user in records(simulator, "/users?start_date=2020-01-01&end_date=2020-02-29")}
    assert 0 < len(some) < len(everyone)
    assert some < everyone


@pytest.mark.parametrize("query", ["", "?start_date=2020-01-10", "?start_date=2020-01-10&end_date=2020-01-09"])
def test_sessions_without_a_proper_interval_are_refused(simulator: Simulator, query: str) -> None:
    with pytest.raises(HTTPError) as refused:
        records(simulator, f"/sessions{query}")
    assert refused.value.code == 422
    refused.value.close()


@pytest.mark.parametrize("path", [SESSIONS, "/users"])
def test_pages_hold_every_record_once(simulator: Simulator, path: str) -> None:
    whole = [json.dumps(record, default=str) for record in records(simulator, path)]
    simulator.behaviour(page_size=7)
    url: str | None = simulator.url + path
    paged: list[str] = []
    while url:
        with urlopen(url, timeout=10) as answer:
            page = json.load(answer, parse_float=str)
            link = answer.headers["link"]
        assert 0 < len(page) <= 7
        assert (len(page) == 7) or link is None
        paged += [json.dumps(record, default=str) for record in page]
        url = link.removeprefix("<").removesuffix('>; rel="next"') if link else None
        # What happens meanwhile must not shift the pages that follow.
        simulator.clock("2020-05-01T00:00:00Z")
    assert paged == whole


def test_a_status_is_answered_as_often_as_asked_for(simulator: Simulator) -> None:
    simulator.faults({"kind": "status", "status": 429, "retry_after": "7", "requests": 2})
    for _ in range(2):
        head, _ = head_and_body(raw(simulator))
        assert head.startswith(b"http/1.1 429 ")
        assert b"\r\nretry-after: 7" in head
    assert head_and_body(raw(simulator))[0].startswith(b"http/1.1 200 ")
    assert simulator.struck() == 2


def test_a_connection_is_reset_before_a_byte(simulator: Simulator) -> None:
    simulator.faults({"kind": "reset", "requests": 1})
    with pytest.raises(ConnectionResetError):
        raw(simulator)


def test_a_connection_is_reset_midway(simulator: Simulator) -> None:
    simulator.faults({"kind": "reset_midway", "requests": 1, "after_bytes": 5000})
    with connected(simulator) as connection:
        connection.sendall(f"GET {SESSIONS} HTTP/1.1\r\nHost: api\r\n\r\n".encode())
        came = bytearray()
        with pytest.raises(ConnectionResetError):
            drain(connection, came)
    assert len(came) > 5000


def test_a_body_is_shorter_than_declared(simulator: Simulator) -> None:
    whole = len(head_and_body(raw(simulator))[1])
    simulator.faults({"kind": "truncated_length", "requests": 1, "after_bytes": 3000})
    head, body = head_and_body(raw(simulator))
    declared = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
    assert len(body) == 3000
    assert 3000 < declared < whole


def test_a_chunked_body_has_no_end(simulator: Simulator) -> None:
    assert raw(simulator).endswith(b"0\r\n\r\n")
    simulator.faults({"kind": "truncated_chunked", "requests": 1})
    answer = raw(simulator)
    assert b"transfer-encoding: chunked" in head_and_body(answer)[0]
    assert not answer.endswith(b"0\r\n\r\n")
    simulator.faults({"kind": "truncated_chunked", "requests": 1})
    client = HTTPConnection(urlsplit(simulator.url).netloc, timeout=10)
    client.request("GET", SESSIONS)
    answered = client.getresponse()
    with pytest.raises(IncompleteRead):
        answered.read()
    client.close()


def test_a_complete_answer_holds_half_an_array(simulator: Simulator) -> None:
    simulator.faults({"kind": "malformed_json", "requests": 1})
    with urlopen(simulator.url + SESSIONS, timeout=10) as answer:
        body = answer.read()
    assert answer.status == 200
    with pytest.raises(json.JSONDecodeError):
        json.loads(body)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("html", b"<!doctype html>"),
        ("error_object", b'{"error":'),
        ("empty_body", b""),
        ("empty_array", b"[]"),
        ("wrong_values", b"[1,2,3]"),
    ],
)
def test_something_else_comes_with_status_200(simulator: Simulator, kind: str, body: bytes) -> None:
    simulator.faults({"kind": kind, "requests": 1})
    with urlopen(simulator.url + SESSIONS, timeout=10) as answer:
        came = answer.read()
    assert answer.status == 200
    assert came.startswith(body)
    assert bool(came) == bool(body)


def test_users_come_instead_of_sessions_and_the_reverse(simulator: Simulator) -> None:
    simulator.faults({"kind": "wrong_records", "requests": 2})
    assert all("user_name" in record for record in records(simulator))
    assert all("session_items" in record for record in records(simulator, "/users"))


def test_records_are_missing_silently(simulator: Simulator) -> None:
    whole = ids(records(simulator))
    simulator.faults({"kind": "short", "share": 0.5, "requests": 1})
    short = ids(records(simulator))
    assert short < whole
    assert 0.25 < len(short) / len(whole) < 0.75
    simulator.faults({"kind": "short", "share": 1, "requests": 1})
    assert records(simulator) == []


def test_an_answer_drips(simulator: Simulator) -> None:
    whole = records(simulator)
    simulator.faults({"kind": "slow", "delay": 0.05, "after_bytes": 8000, "requests": 1})
    started = time.monotonic()
    assert records(simulator) == whole
    assert time.monotonic() - started > 0.4


def test_an_answer_stalls(simulator: Simulator) -> None:
    simulator.faults({"kind": "stall", "delay": 5, "requests": 1})
    with connected(simulator) as connection:
        connection.settimeout(0.5)
        connection.sendall(f"GET {SESSIONS} HTTP/1.1\r\nHost: api\r\n\r\n".encode())
        with pytest.raises(TimeoutError):
            drain(connection, bytearray())


def test_a_slow_answer_holds_up_nobody_else(simulator: Simulator) -> None:
    simulator.faults({"kind": "slow", "delay": 0.2, "after_bytes": 8000, "path": "/sessions"})
    with ThreadPoolExecutor(4) as pool:
        slow = [pool.submit(records, simulator) for _ in range(4)]
        started = time.monotonic()
        assert records(simulator, "/users")
        assert time.monotonic() - started < 1
        assert not any(answer.done() for answer in slow)


def test_every_bad_record_is_sent_as_the_truth_says(simulator: Simulator) -> None:
    good = Counter(json.dumps(record, default=str) for record in records(simulator))
    simulator.bad("all", days=[date(2020, 1, 11)])
    both = Counter(json.dumps(record, default=str) for record in records(simulator))
    truth = simulator.truth(date(2020, 1, 10), date(2020, 1, 13))
    cases = [case for case in [*truth["bad"], *truth["odd"]] if case["entity"] == "sessions"]
    listed = {json.dumps(json.loads(case["record"], parse_float=str), default=str) for case in cases}
    assert len(listed) > 40
    assert set(both - good) == listed
    assert not good - both


def test_an_unknown_switch_is_refused(simulator: Simulator) -> None:
    with pytest.raises(HTTPError) as refused:
        simulator.bad(["no_such_kind"])
    assert refused.value.code == 422
    assert b"unknown: no_such_kind" in refused.value.read()


def test_a_following_clock_moves_with_the_questions(tmp_path: Path) -> None:
    with running_simulator(clock="follows", state_dir=tmp_path) as simulator:
        assert simulator.get("/simulator/clock") == {"now": "2020-01-01T00:00:00+00:00"}
        first = records(simulator, "/sessions?start_date=2020-01-01&end_date=2020-01-03")
        assert simulator.get("/simulator/clock") == {"now": "2020-01-04T00:00:00+00:00"}
        # An older day is asked again when more is known.
        records(simulator, "/sessions?start_date=2020-01-20&end_date=2020-01-20")
        again = records(simulator, "/sessions?start_date=2020-01-01&end_date=2020-01-03")
        assert ids(first) <= ids(again)
    with running_simulator(clock="follows", state_dir=tmp_path) as simulator:
        assert simulator.get("/simulator/clock") == {"now": "2020-01-21T00:00:00+00:00"}


def test_a_killed_simulator_comes_back_the_same(tmp_path: Path) -> None:
    with running_simulator(state_dir=tmp_path) as simulator:
        simulator.clock("2020-01-12T09:00:00Z")
        simulator.bad(["item_null"], every=1)
        before = raw(simulator)
        os.kill(simulator.pid, signal.SIGKILL)
    with running_simulator(state_dir=tmp_path) as simulator:
        assert raw(simulator) == before
