"""What a person or a log is shown while a stage works."""

import re
import time
from collections.abc import Iterator
from datetime import date
from threading import Thread

import pytest

from deftunes.cli.progress import bar_after, chosen_display, chunk_progress, describe, line_every
from deftunes.core.interval import Interval
from deftunes.core.progress import Meter, begin_count, count, show_progress, stage_at_work

CHUNKS = [Interval(date(2020, 1, day), date(2020, 1, day + 1)) for day in (1, 2)]


@pytest.fixture(autouse=True)
def _nobody_looks_afterwards() -> Iterator[None]:
    yield
    show_progress(None)


def wait_for(text: str, capsys: pytest.CaptureFixture[str], seen: str = "") -> str:
    """Everything on stderr, once it has this in it."""
    for _ in range(200):
        seen += capsys.readouterr().err
        if re.search(text, seen):
            return seen
        time.sleep(0.05)
    raise AssertionError(seen)


def test_a_log_has_a_line_each_time(capsys: pytest.CaptureFixture[str]) -> None:
    show_progress(line_every(0.05))
    with stage_at_work("transform sessions"):
        wait_for(r"transform sessions: at work for 0:00:00\n", capsys)
        begin_count("records", 4_000)
        count(1_000)
        wait_for(r"transform sessions: 1,000 of 4,000 records \(25%\), 0:00:0\d left\n", capsys)
        begin_count("rows written")
        count(12)
        wait_for(r"transform sessions: 12 rows written, at work for 0:00:0\d\n", capsys)
    assert capsys.readouterr().out == ""


def test_a_terminal_has_a_bar_that_goes_away(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")
    show_progress(bar_after(0.0))
    with stage_at_work("load songs"):
        begin_count("rows", 200)
        count(50)
        seen = wait_for(r"50 of 200 rows \(25%\), \d:\d\d:\d\d left", capsys)
    seen += capsys.readouterr().err
    assert "load songs" in seen
    assert "\x1b[?25h" in seen, "the cursor is shown again"


@pytest.mark.parametrize("display", [line_every(60), bar_after(60)])
def test_what_ends_soon_shows_nothing(display: object, capsys: pytest.CaptureFixture[str]) -> None:
    show_progress(display)  # type: ignore[arg-type] - parametrized
    with stage_at_work("publish users"):
        count(1)
    assert capsys.readouterr() == ("", "")


def test_a_stage_that_fails_is_shown_no_more(capsys: pytest.CaptureFixture[str]) -> None:
    show_progress(line_every(0.01))
    with pytest.raises(ValueError, match="broken"), stage_at_work("load users"):  # noqa: PT012 - it works, then fails
        wait_for("load users", capsys)
        raise ValueError("broken")
    capsys.readouterr()
    time.sleep(0.05)
    assert capsys.readouterr().err == ""


def test_threads_lose_nothing() -> None:
    found: list[Meter] = []

    def display(meter: Meter) -> object:
        found.append(meter)
        return bar_after(60)(meter)

    show_progress(display)  # type: ignore[arg-type] - a display
    with stage_at_work("extract sessions"):
        begin_count("days", 8_000)
        threads = [Thread(target=lambda: [count(1) for _ in range(1_000)]) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert found[0].done == 8_000


def test_nobody_has_to_count() -> None:
    begin_count("records", 1)
    count(1)


def test_more_than_was_expected_is_no_more_than_all() -> None:
    meter = Meter("load users", unit="rows", total=2, done=3, begun=time.monotonic())
    assert describe(meter) == "3 of 2 rows (100%), 0:00:00 left"


def test_where_nobody_looks_it_is_a_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", None)  # as where it was closed before the start
    with chosen_display()(Meter("model")):
        pass


def test_chunks_are_counted_for_a_person_only(capsys: pytest.CaptureFixture[str]) -> None:
    with chunk_progress(CHUNKS, as_json=True) as advance:
        advance(CHUNKS[0], "done")
    assert capsys.readouterr() == ("", "")
    with chunk_progress(CHUNKS, as_json=False) as advance:
        advance(CHUNKS[0], "done")
    assert "1 of 2 chunks (50%)" in capsys.readouterr().err
