"""Land one interval of sessions, each in the UTC day it belongs to, every field as the Purchase API sent it.

    GET /sessions?start_date&end_date, by windows  ->  landing/sessions/<day>/<extracted_at>-<digest>/{part, receipt}

The API does not say whether `end_date` is included, nor in which zone it takes a date. So each window of days is asked
with a day more at both ends, which brings all records of its days whatever the API means, and a record counts only in
the window that owns its UTC day: none is in two windows, none is missed. Windows are of several days, so that the
extra days stay a small part. A record whose time cannot be read lands beside the days, for quarantine.

All windows must have arrived before the first day is committed: a refused or broken interval lands nothing. Dying
between two days leaves some landed; the next run finds these unchanged and lands the rest.
"""

import contextlib
import hashlib
import tempfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import msgspec

from deftunes import layout
from deftunes.adapters.http import PurchaseApi
from deftunes.adapters.jsonarray import without_surrogates
from deftunes.entities import Entity
from deftunes.extract.landed import Landed, refuse_shrunk, units_of
from deftunes.extract.records import PART, RecordFile, canonical, refuse_strangers
from deftunes.interval import ONE_DAY, Interval, read_instant
from deftunes.landing import Draft, Landings

# Two more days are asked for each window, and as many may come three: shorter windows would ask for the same sessions
# too often, longer ones lose more when one breaks off.
_SHORTEST_WINDOW = 7
_LONGEST_WINDOW = 14
_FIELDS = ("session_id", "session_items", "session_start_time")


class _Session(msgspec.Struct):
    """The one field that decides where a record belongs."""

    session_start_time: Any = None


_SESSION = msgspec.json.Decoder(_Session)


@dataclass(frozen=True, slots=True)
class _Window:
    """What one window brought: a file for each of its days, and the records that have no day."""

    files: dict[date, tuple[RecordFile, str]]
    unplaced: Path
    extracted_at: datetime
    requests: tuple[str, ...]
    bytes: int
    tries: int


def days_to_ask(landings: Landings, asked: Interval, look_back: int) -> tuple[date, ...]:
    """The days of `asked`, and of the `look_back` days before it those that are landed already.

    A day before `asked` that was never landed stays out: a run never brings in a day that nobody asked for.
    """
    if look_back == 0:
        return tuple(asked.days())
    before = Interval(asked.widened(look_back).start, asked.start)
    landed = landings.in_use_between(before)
    earlier = (day for day in before.days() if layout.day_unit(day) in landed)
    return (*earlier, *asked.days())


def land_sessions(
    api: PurchaseApi,
    landings: Landings,
    interval: Interval,
    days: Iterable[date],
    *,
    max_shrink: float,
    accept_shrink: bool = False,
    concurrency: int,
) -> Landed:
    """Land the sessions of `days`, all days of `interval` that the run is about; `concurrency` windows at a time.

    Raises:
        RefusedError: the days together shrank by more than the share `max_shrink`.
        RetriableError: the API was away or broke off.
        DeftunesError: the API refused, or sent something else than records.

    """
    days = sorted(days)
    with (
        tempfile.TemporaryDirectory() as folder,
        ThreadPoolExecutor(concurrency, thread_name_prefix="sessions") as pool,
    ):
        jobs = [
            pool.submit(_fetch, api, window, Path(folder) / str(number))
            for number, window in enumerate(windows(days, concurrency))
        ]
        try:
            fetched = [job.result() for job in jobs]
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
        in_use = landings.in_use_between(Interval(days[0], days[-1] + ONE_DAY))
        had = sum(in_use[unit].rows for unit in map(layout.day_unit, days) if unit in in_use)
        came = sum(file.rows for window in fetched for file, _ in window.files.values())
        refuse_shrunk(landings.entity, interval, had=had, came=came, max_shrink=max_shrink, accept_shrink=accept_shrink)
        # One run is one extract: its days carry the same instant, the earliest of its answers.
        extracted_at = min(window.extracted_at for window in fetched)
        drafts = [
            Draft(layout.day_unit(day), extracted_at, digest, file.rows, file.files(), window.requests)
            for window in fetched
            for day, (file, digest) in window.files.items()
        ]
        # One unit however the run is cut into windows, so that another concurrency lands nothing anew.
        unit = layout.unplaced_unit(days[0])
        with RecordFile(Path(folder) / "unplaced" / PART) as unplaced:
            _merge_unplaced(fetched, unplaced)
            digest = unplaced.close()
        if unplaced.rows or unit in in_use:
            asked = tuple(request for window in fetched for request in window.requests)
            drafts.append(Draft(unit, extracted_at, digest, unplaced.rows, unplaced.files(), asked))
        committed = list(pool.map(lambda draft: landings.commit(draft, interval), drafts))
    written, unchanged = units_of(committed)
    return Landed(
        landings.entity,
        interval,
        extracted_at,
        written,
        unchanged,
        came + unplaced.rows,
        sum(window.bytes for window in fetched),
        sum(window.tries for window in fetched),
    )


def windows(days: list[date], concurrency: int) -> list[list[date]]:
    """Cut sorted days into the windows that are asked for at once, each a run of (nearly) neighbouring days."""
    length = min(max(-(-len(days) // concurrency), _SHORTEST_WINDOW), _LONGEST_WINDOW)
    found: list[list[date]] = []
    for day in days:
        # The margins of two windows would meet in a gap of two days: one request over the gap is cheaper.
        if found and day - found[-1][-1] <= 3 * ONE_DAY and day - found[-1][0] < length * ONE_DAY:
            found[-1].append(day)
        else:
            found.append([day])
    return found


def _fetch(api: PurchaseApi, days: list[date], folder: Path) -> _Window:
    unplaced = folder / "unplaced.jsonl"
    with contextlib.ExitStack() as opened:
        # An `end_date` that is not included must be the second day after the last one, since a record of the last UTC
        # day may carry the next day's date in its own zone.
        answer = opened.enter_context(api.sessions(days[0] - ONE_DAY, days[-1] + 2 * ONE_DAY))
        refuse_strangers(answer, Entity.SESSIONS, _FIELDS)
        files = {day: opened.enter_context(RecordFile(folder / layout.day_unit(day) / PART)) for day in days}
        aside = opened.enter_context(unplaced.open("wb"))
        for record in answer.records():
            day = day_of(record)
            if day is None:
                aside.write(record + b"\n")
            elif day in files:
                files[day].add(record)
        return _Window(
            {day: (file, file.close()) for day, file in files.items()},
            unplaced,
            answer.extracted_at,
            answer.requests,
            answer.bytes,
            answer.tries,
        )


def day_of(record: bytes) -> date | None:
    """The UTC day that a record belongs to, or None if it has no readable time."""
    try:
        session = _SESSION.decode(record)
    except msgspec.ValidationError:
        return None
    except msgspec.DecodeError:
        try:
            session = _SESSION.decode(without_surrogates(record))
        except msgspec.DecodeError:
            return None
    instant = read_instant(session.session_start_time)
    return None if instant is None else instant.date()


def _merge_unplaced(fetched: list[_Window], merged: RecordFile) -> None:
    """The records without a day, each once though several windows may have brought it."""
    seen: set[bytes] = set()
    for window in fetched:
        with window.unplaced.open("rb") as lines:
            for line in lines:
                record = line[:-1]
                digest = hashlib.sha256(canonical(record)).digest()
                if digest not in seen:
                    seen.add(digest)
                    merged.add(record)
