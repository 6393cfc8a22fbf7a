"""How far the stage at work is, for whoever waits for it.

The pipeline says which stage begins, the stage what it counts; the edge decides how it is shown, if at all. A process
works on one stage at a time, whose threads may all count.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from threading import Lock


@dataclass(slots=True)
class Meter:
    """What a stage has done of what it counts now: `done` of `total` (None: not known), since `begun`.

    `started` and `begun` are seconds of the monotonic clock: of the stage, and of this count.
    """

    stage: str
    started: float = field(default_factory=time.monotonic)
    unit: str = ""
    total: int | None = None
    done: int = 0
    begun: float = 0.0
    lock: Lock = field(default_factory=Lock, repr=False)

    @property
    def seconds_left(self) -> float | None:
        """By the pace until now; None as long as nobody can say."""
        if not self.total or not self.done:
            return None
        return (time.monotonic() - self.begun) * max(0, self.total - self.done) / self.done


Display = Callable[[Meter], AbstractContextManager[None]]

_displays: list[Display] = []  # one at most
_meters: list[Meter] = []  # of the stage at work


def show_progress(display: Display | None) -> None:
    """Choose who shows the stages of this process; called by the edge."""
    _displays[:] = [display] if display else []


@contextmanager
def stage_at_work(stage: str) -> Iterator[None]:
    """Show this stage while it works."""
    meter = Meter(stage)
    _meters.append(meter)
    try:
        with _displays[0](meter) if _displays else nullcontext():
            yield
    finally:
        _meters.remove(meter)


def begin_count(unit: str, total: int | None = None) -> None:
    """What the stage at work counts from here on, and how much there is."""
    for meter in _meters[-1:]:
        with meter.lock:
            meter.unit, meter.total, meter.done, meter.begun = unit, total, 0, time.monotonic()


def count(amount: int) -> None:
    """So much more is done."""
    for meter in _meters[-1:]:
        with meter.lock:
            meter.done += amount
