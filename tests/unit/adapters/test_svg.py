"""The drawing process: answers in order, refuses in words, and ends with whoever opened it."""

import os
import signal
from itertools import pairwise

import pytest

from deftunes.adapters.svg import Pen
from deftunes.core.errors import DeftunesError

BARS = {
    "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
    "mark": "bar",
    "encoding": {"x": {"field": "x", "type": "nominal"}, "y": {"field": "y", "type": "quantitative"}},
}


def bars(*names: str) -> dict[str, object]:
    return {**BARS, "data": {"values": [{"x": name, "y": 1} for name in names]}}


def test_each_drawing_is_of_its_own_specification() -> None:
    names = ["Ü🎵", "</svg>\n", "'\"\\", "c" * 70_000, "e"]  # the fourth fills a pipe
    with Pen() as pen:
        drawn = [pen.draw(bars(name)) for name in names]
        found = [drawing.result() for drawing in drawn]
    assert all(svg.startswith("<svg") and svg.endswith("</svg>") for svg in found)
    assert all(one != other for one, other in pairwise(found))
    assert "Ü🎵" in found[0]
    assert "&lt;/svg&gt;" in found[1]
    assert ">e</text>" in found[4]


def test_a_drawing_that_is_refused_harms_no_other() -> None:
    with Pen() as pen:
        refused, drawn = pen.draw({**BARS, "mark": 7}), pen.draw(bars("a"))
        with pytest.raises(DeftunesError, match="expected a drawing of a chart, got: "):
            refused.result()
        assert drawn.result().startswith("<svg")


def test_an_engine_that_is_gone_is_named_and_leaves_nothing() -> None:
    with Pen() as pen:
        pen.draw(bars("a")).result()
        pid = pen._child.pid
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(DeftunesError, match=r"the drawing process ended \(exit code -9\)"):
            pen.draw(bars("a")).result()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_who_leaves_early_waits_for_nothing() -> None:
    with pytest.raises(ZeroDivisionError), Pen() as pen:  # noqa: PT012 - what a failing question does
        drawn = [pen.draw(bars("a")) for _ in range(50)]
        raise ZeroDivisionError
    assert drawn[-1].cancelled()
    assert process_is_gone(pen)


def process_is_gone(pen: Pen) -> bool:
    return not pen._child.is_alive
