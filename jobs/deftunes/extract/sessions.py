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
import tempfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import msgspec

from deftunes.adapters.http import PurchaseApi
from deftunes.adapters.jsonarray import without_surrogates
from deftunes.core import layout
from deftunes.core.entities import Entity
from deftunes.core.interval import ONE_DAY, Interval, read_day
from deftunes.core.records import content_digest
from deftunes.extract.landed import Landed, notes_of, refuse_shrunk, units_of
from deftunes.extract.records import PART, Recognition, RecordFile
from deftunes.job import Job
from deftunes.resources import Resources
from deftunes.state.landings import Draft, Landings

# Two or three days more are asked for each window. Measured on a month: windows of 16 days bring 19 % more than was
# needed, windows of 7 days 48 %, which the source has to make and we have to read.
_LONGEST_WINDOW = 16
_FIELDS = ("session_id", "session_items", "session_start_time")


class _Session(msgspec.Struct):
    """The one field that decides where a record belongs."""

    session_start_time: Any = None  # only a string can be an instant, but a record with anything else is a record too


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
            pool.submit(_fetch, api, window, Path(folder) / str(number)) for number, window in enumerate(windows(days))
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
        unit = layout.undated_unit(days[0])
        unplaced = RecordFile(Path(folder) / "unplaced" / PART)
        with contextlib.closing(unplaced):
            _merge_unplaced(fetched, unplaced)
            digest = unplaced.finish()
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
        notes_of(committed),
    )


def windows(days: list[date]) -> list[list[date]]:
    """Cut sorted days into the windows that are asked for, each a run of (nearly) neighbouring days."""
    span = (days[-1] - days[0]).days + 1
    length = -(-span // -(-span // _LONGEST_WINDOW))  # as many as needed, and of equal length
    found: list[list[date]] = []
    for day in days:
        # The margins of two windows would meet in a gap of two days: one request over the gap is cheaper.
        if found and day - found[-1][-1] <= 3 * ONE_DAY and day - found[-1][0] < length * ONE_DAY:
            found[-1].append(day)
        else:
            found.append([day])
    return found


class _Placer:
    """Puts the sessions of a window where they belong while they arrive."""

    def __init__(self, days: list[date], folder: Path) -> None:
        self.files = {day: RecordFile(folder / layout.day_unit(day) / PART) for day in days}
        self.unplaced = folder / "unplaced.jsonl"
        self._aside = self.unplaced.open("wb")
        self.recognition = Recognition(Entity.SESSIONS, _FIELDS)

    def add(self, lines: bytes) -> None:
        records = lines.splitlines()
        self.recognition.look(records)
        for record, day in zip(records, _days_of(lines, records), strict=True):
            if day is None:
                self._aside.write(record + b"\n")
            elif day in self.files:
                self.files[day].add(record)

    def close(self) -> None:
        for file in self.files.values():
            file.close()
        self._aside.close()


def _fetch(api: PurchaseApi, days: list[date], folder: Path) -> _Window:
    # An `end_date` that is not included must be the second day after the last one, since a record of the last UTC
    # day may carry the next day's date in its own zone.
    answer = api.sessions(days[0] - ONE_DAY, days[-1] + 2 * ONE_DAY, lambda: _Placer(days, folder))
    with contextlib.closing(answer.sink) as placer:
        placer.recognition.refuse_strangers(answer.rows, answer.requests[0])
        return _Window(
            {day: (file, file.finish()) for day, file in placer.files.items()},
            placer.unplaced,
            answer.extracted_at,
            answer.requests,
            answer.bytes,
            answer.tries,
        )


def _days_of(lines: bytes, records: list[bytes]) -> list[date | None]:
    try:
        # All at once costs half; the decoder says only that one of them is not as the others.
        return [read_day(session.session_start_time) for session in _SESSION.decode_lines(lines)]
    except msgspec.DecodeError:
        return [day_of(record) for record in records]


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
    return read_day(session.session_start_time)


def _merge_unplaced(fetched: list[_Window], merged: RecordFile) -> None:
    """The records without a day, each once though several windows may have brought it."""
    seen: set[bytes] = set()
    for window in fetched:
        with window.unplaced.open("rb") as lines:
            for line in lines:
                record = line[:-1]
                digest = content_digest(record)
                if digest not in seen:
                    seen.add(digest)
                    merged.add(record)


def run(resources: Resources, job: Job) -> Landed:
    """Land what the Purchase API holds for the window."""
    return land_sessions(
        resources.api,
        resources.landings(Entity.SESSIONS),
        job.window.interval,
        job.window.days,
        max_shrink=resources.settings.max_shrink,
        accept_shrink=job.options.accept_shrink,
        concurrency=resources.settings.http_concurrency,
    )
