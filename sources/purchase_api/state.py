"""What is switched on: the clock, the bad records, the habits of the API. Kept on disk, so that a restart is unseen."""

import json
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, NaiveDatetime, field_validator

from purchase_api import times
from purchase_api.bad_records import ALL_KINDS
from purchase_api.errors import SimulatorError
from purchase_api.files import replace_file
from purchase_api.people import HISTORY

FOLLOWS = "follows"


class Clock(BaseModel):
    """The logical clock. A naive instant is UTC."""

    model_config = ConfigDict(extra="forbid")

    now: AwareDatetime | NaiveDatetime


class BadRecords(BaseModel):
    """Which kinds of bad (and odd, but good) records come beside the good ones.

    Sessions: each kind on the given days, or on every `every`-th day, not all on the same. Users: always.
    """

    model_config = ConfigDict(extra="forbid")

    kinds: tuple[str, ...] | Literal["all"] = ()
    every: Annotated[int, Field(ge=1)] = 7
    days: tuple[date, ...] | None = None

    @field_validator("kinds")
    @classmethod
    def _known(cls, kinds: tuple[str, ...] | Literal["all"]) -> tuple[str, ...] | Literal["all"]:
        unknown = [] if kinds == "all" else sorted(set(kinds) - set(ALL_KINDS))
        if unknown:
            raise ValueError(f"unknown: {', '.join(unknown)}; known: {', '.join(ALL_KINDS)}")
        return kinds

    @property
    def names(self) -> tuple[str, ...]:
        """The kinds by name, in one order."""
        return ALL_KINDS if self.kinds == "all" else tuple(kind for kind in ALL_KINDS if kind in self.kinds)

    def on(self, day: date) -> list[str]:
        """The kinds that come on a day."""
        if self.days is not None:
            return list(self.names) if day in self.days else []
        return [kind for kind in self.names if (day.toordinal() + ALL_KINDS.index(kind)) % self.every == 0]


class Behaviour(BaseModel):
    """Habits of the API that its documentation leaves open."""

    model_config = ConfigDict(extra="forbid")

    end_date: Literal["inclusive", "exclusive"] = "inclusive"
    page_size: Annotated[int, Field(ge=1)] | None = None
    shuffle: int = 0


class _Kept(BaseModel):
    # What --clock said when `now` was kept: another --clock is a new order, the same one is a restart.
    ordered: str
    now: int
    bad_records: BadRecords = BadRecords()
    behaviour: Behaviour = Behaviour()


class State:
    """Read at the start, written at every change."""

    def __init__(self, clock: str, start: date, folder: Path | None) -> None:
        self._path = folder / "state.json" if folder else None
        self._follows = clock == FOLLOWS
        self._last = times.midnight(start) + HISTORY
        kept = self._read()
        if kept is None or kept.ordered != clock:
            now = times.midnight(start) if self._follows else read_clock(clock)
            kept = _Kept(ordered=clock, now=now) if kept is None else kept.model_copy(
                update={"ordered": clock, "now": now}
            )  # fmt: skip
        self._kept = kept
        self.version = 0

    @property
    def now(self) -> int:
        """The logical clock."""
        return self._kept.now

    @now.setter
    def now(self, now: int) -> None:
        self._keep(now=now)

    def asked_until(self, end: date) -> None:
        """Tell a following clock that someone asks for the days before `end`; the shop's history has a last day."""
        asked = min(times.midnight(end), self._last)
        if self._follows and asked > self.now:
            self.now = asked

    @property
    def bad_records(self) -> BadRecords:
        """See `BadRecords`."""
        return self._kept.bad_records

    @bad_records.setter
    def bad_records(self, bad_records: BadRecords) -> None:
        self._keep(bad_records=bad_records)

    @property
    def behaviour(self) -> Behaviour:
        """See `Behaviour`."""
        return self._kept.behaviour

    @behaviour.setter
    def behaviour(self, behaviour: Behaviour) -> None:
        self._keep(behaviour=behaviour)

    def _keep(self, **changes: object) -> None:
        self._kept = self._kept.model_copy(update=changes)
        self.version += "now" not in changes
        if self._path:
            replace_file(self._path, self._kept.model_dump_json().encode())

    def _read(self) -> _Kept | None:
        if self._path is None or not self._path.exists():
            return None
        try:
            return _Kept.model_validate(json.loads(self._path.read_bytes()))
        except ValueError as error:
            raise SimulatorError(f"cannot read {self._path}: {error}. Remove it to start afresh") from error


def read_clock(text: str) -> int:
    """The instant that --clock names.

    Raises:
        SimulatorError: it names none.

    """
    try:
        return times.instant_of(Clock.model_validate({"now": text}).now)
    except ValueError:
        raise SimulatorError(f"expected an instant like 2020-04-01T00:00:00Z, or {FOLLOWS}; got {text!r}") from None


def default_clock(start: date) -> str:
    """A quarter after the shop opened."""
    return f"{(start + timedelta(days=91)).isoformat()}T00:00:00Z"
