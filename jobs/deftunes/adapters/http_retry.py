"""How a request is retried: exponential backoff with jitter, within a budget counted from its first failure.

A server that is too busy and says when to come back means everybody: until then no thread asks for anything.
"""

import math
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    wait_exponential,
    wait_random,
    wait_random_exponential,
)

_FIRST_WAIT = 0.5
_LONGEST_WAIT = 8.0
# Half of each wait is random, so that threads that failed together do not come back together.
_BACKOFF = wait_exponential(_FIRST_WAIT, max=_LONGEST_WAIT / 2) + wait_random_exponential(
    _FIRST_WAIT, max=_LONGEST_WAIT / 2
)
_JITTER = wait_random(0, _FIRST_WAIT)


class TransientError(Exception):
    """One try failed, another may not.

    `retry_after`: seconds the server asked for; `is_busy`: it asked because it has too much to do, whoever comes;
    `is_interim`: it sent HTTP 1xx.
    """

    def __init__(
        self, got: str, retry_after: float | None = None, *, is_busy: bool = False, is_interim: bool = False
    ) -> None:
        super().__init__(got)
        self.retry_after = retry_after
        self.is_busy = is_busy
        self.is_interim = is_interim


class SharedPause:
    """The time until which all threads leave a busy server alone."""

    def __init__(self, clock: Callable[[], float], sleep: Callable[[float], None]) -> None:
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._until = -math.inf

    def extend(self, seconds: float) -> None:
        """Ask nothing for so long, counted from now."""
        with self._lock:
            self._until = max(self._until, self._clock() + seconds)

    def wait(self) -> None:
        """Sleep until it is over, and a little longer, each thread another time: they come back one after another."""
        while (left := self._until - self._clock()) > 0:
            self._sleep(left + random.uniform(0, _FIRST_WAIT))  # noqa: S311 - no secret


def retrying(budget: float, clock: Callable[[], float], sleep: Callable[[float], None]) -> Retrying:
    """The retry loop of one request; the last `TransientError` leaves it when `budget` seconds are spent."""
    spent = _Budget(budget, clock)
    return Retrying(
        retry=retry_if_exception_type(TransientError), stop=spent.is_over, wait=spent.wait, sleep=sleep, reraise=True
    )


@dataclass(slots=True)
class _Budget:
    seconds: float
    clock: Callable[[], float]
    deadline: float | None = field(default=None, init=False)

    def is_over(self, state: RetryCallState) -> bool:
        """Whether to give up. Waiting less than the server asked for would only add to its load."""
        left = self._left()
        return left <= 0 or (_retry_after(state) or 0) > left

    def wait(self, state: RetryCallState) -> float:
        """Seconds until the next try."""
        asked = _retry_after(state)
        wait = asked + _JITTER(state) if asked is not None and asked >= _FIRST_WAIT else _BACKOFF(state)
        return min(wait, self._left())

    def _left(self) -> float:
        now = self.clock()
        if self.deadline is None:
            self.deadline = now + self.seconds
        return self.deadline - now


def _retry_after(state: RetryCallState) -> float | None:
    error = state.outcome.exception() if state.outcome else None
    return error.retry_after if isinstance(error, TransientError) else None
