"""Progress of long work: a bar with the time left where a person looks, a line a minute where a log is kept.

What ends within seconds is not shown. All of it goes to stderr.
"""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from threading import Event, Thread
from typing import TYPE_CHECKING

import typer

from deftunes.core.interval import Interval
from deftunes.core.progress import Display, Meter

if TYPE_CHECKING:
    from rich.progress import Progress

SECONDS_TO_A_BAR = 3.0
SECONDS_TO_A_LINE = 60.0
_REFRESH = 0.25

Advance = Callable[[Interval, str], None]


def chosen_display() -> Display:
    """A bar on a terminal, else lines."""
    return bar_after(SECONDS_TO_A_BAR) if sys.stderr and sys.stderr.isatty() else line_every(SECONDS_TO_A_LINE)


def line_every(seconds: float) -> Display:
    """A line to stderr each time so many seconds have passed."""

    def look(meter: Meter, ended: Event) -> None:
        while not ended.wait(seconds):
            with suppress(OSError, ValueError):  # nobody reads it any more
                typer.echo(f"{meter.stage}: {describe(meter)}", err=True)

    return _watching(look)


def bar_after(seconds: float) -> Display:
    """A bar on stderr for a stage that works longer than this; it is gone when the stage has ended."""

    def look(meter: Meter, ended: Event) -> None:
        if ended.wait(seconds):
            return
        with _bars() as bars:
            task = bars.add_task(meter.stage, total=None, said="")
            while not ended.wait(_REFRESH):
                bars.update(task, total=meter.total, completed=meter.done, said=describe(meter))
            bars.remove_task(task)

    return _watching(look)


def describe(meter: Meter) -> str:
    """What is done and what is left, in words: `412,000 of 1,000,000 records (41%), 0:00:35 left`."""
    passed = timedelta(seconds=int(time.monotonic() - meter.started))
    if not meter.unit:
        return f"at work for {passed}"
    if not meter.total:
        return f"{meter.done:,} {meter.unit}, at work for {passed}"
    left = meter.seconds_left
    rest = f"{timedelta(seconds=round(left))} left" if left is not None else f"at work for {passed}"
    return f"{meter.done:,} of {meter.total:,} {meter.unit} ({min(meter.done / meter.total, 1):.0%}), {rest}"


@contextmanager
def chunk_progress(chunks: Sequence[Interval], *, as_json: bool) -> Iterator[Advance]:
    """A function to call after each chunk; nothing is shown to a machine."""
    if as_json:
        yield lambda _, __: None
        return
    meter = Meter("backfill", unit="chunks", total=len(chunks), begun=time.monotonic())
    with _bars() as bars:
        task = bars.add_task(meter.stage, total=len(chunks), said=describe(meter))

        def advance(chunk: Interval, how: str) -> None:
            meter.done += 1
            bars.update(task, advance=1, description=f"{chunk} {how}", said=describe(meter))

        yield advance


_shown: "list[Progress]" = []  # the bars at this moment: a terminal has room for one set of them


@contextmanager
def _bars() -> "Iterator[Progress]":
    """The bars that are shown, or new ones."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    if _shown:
        yield _shown[0]
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[said]}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as bars:
        _shown.append(bars)
        try:
            yield bars
        finally:
            _shown.clear()


def _watching(look: Callable[[Meter, Event], None]) -> Display:
    """Look at a meter from a thread of its own for as long as its stage works."""

    @contextmanager
    def display(meter: Meter) -> Iterator[None]:
        ended = Event()
        watch = Thread(target=look, args=(meter, ended), name="progress", daemon=True)
        watch.start()
        try:
            yield
        finally:
            ended.set()
            watch.join()

    return display
