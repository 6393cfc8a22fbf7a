"""The switches, and that a restart does not move them."""

from datetime import date, timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from purchase_api import times
from purchase_api.bad_records import ALL_KINDS
from purchase_api.errors import SimulatorError
from purchase_api.state import FOLLOWS, BadRecords, Behaviour, State, default_clock

START = date(2020, 1, 1)
CLOCK = "2020-04-01T00:00:00Z"


def test_the_clock_says_what_it_was_told(tmp_path: Path) -> None:
    assert State(CLOCK, START, tmp_path).now == times.midnight(date(2020, 4, 1))
    assert State("2020-04-01T02:00:00+02:00", START, None).now == times.midnight(date(2020, 4, 1))
    assert State("2020-04-01", START, None).now == times.midnight(date(2020, 4, 1))
    assert default_clock(START) == CLOCK


def test_a_restart_keeps_the_clock_and_the_switches(tmp_path: Path) -> None:
    state = State(CLOCK, START, tmp_path)
    state.now += times.DAY
    state.bad_records = BadRecords(kinds="all", days=(START,))
    state.behaviour = Behaviour(page_size=3)
    again = State(CLOCK, START, tmp_path)
    assert (again.now, again.bad_records, again.behaviour) == (state.now, state.bad_records, state.behaviour)


def test_another_clock_on_the_command_line_is_obeyed(tmp_path: Path) -> None:
    State(CLOCK, START, tmp_path).now += times.DAY
    assert State("2020-05-01T00:00:00Z", START, tmp_path).now == times.midnight(date(2020, 5, 1))


def test_a_following_clock_goes_with_the_newest_question_and_never_back(tmp_path: Path) -> None:
    state = State(FOLLOWS, START, tmp_path)
    assert state.now == times.midnight(START)
    state.asked_until(date(2020, 1, 8))
    state.asked_until(date(2020, 1, 3))
    assert state.now == times.midnight(date(2020, 1, 8))
    assert State(FOLLOWS, START, tmp_path).now == state.now


def test_a_following_clock_stops_where_the_history_ends() -> None:
    state = State(FOLLOWS, START, None)
    state.asked_until(date.max)
    assert times.day_of(state.now) == START + timedelta(days=3650)


def test_a_fixed_clock_follows_nobody() -> None:
    state = State(CLOCK, START, None)
    state.asked_until(date(2021, 1, 1))
    assert state.now == times.midnight(date(2020, 4, 1))


def test_a_clock_that_names_no_instant_is_refused() -> None:
    with pytest.raises(SimulatorError, match="got 'noon'"):
        State("noon", START, None)


def test_a_broken_state_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text("{")
    with pytest.raises(SimulatorError, match=r"cannot read .*state.json"):
        State(CLOCK, START, tmp_path)


def test_unknown_kinds_are_refused() -> None:
    with pytest.raises(ValidationError, match="unknown: prices"):
        BadRecords(kinds=("prices",))


def test_every_kind_comes_once_in_a_period_and_not_all_at_once() -> None:
    switched = BadRecords(kinds="all", every=7)
    week = [switched.on(START + timedelta(days=number)) for number in range(7)]
    assert sorted(kind for day in week for kind in day) == sorted(ALL_KINDS)
    assert all(len(day) < len(ALL_KINDS) / 3 for day in week)


def test_chosen_days_have_all_and_others_none() -> None:
    switched = BadRecords(kinds=("item_null", "session_id_null"), days=(START,))
    assert sorted(switched.on(START)) == ["item_null", "session_id_null"]
    assert switched.on(START + timedelta(days=7)) == []
