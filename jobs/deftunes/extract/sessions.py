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

from deftunes.adapters.http import ApiResponse, PurchaseApi
from deftunes.adapters.jsonarray import without_surrogates
from deftunes.core import layout
from deftunes.core.clock import MAX_CLOCK_SKEW
from deftunes.core.entities import Entity
from deftunes.core.interval import ONE_DAY, Interval, read_day
from deftunes.core.records import UNREADABLE, content_digest
from deftunes.extract.landed import Landed, notes_of, refuse_older, refuse_shrunk, units_of
from deftunes.extract.records import PART, RecordFile, RecordProbe
from deftunes.job import Job
from deftunes.resources import Resources
from deftunes.state.landings import Draft, Landings

# Two or three days more are asked for each window. Measured on a month: windows of 16 days bring 19 % more than was
# needed, windows of 7 days 48 %, which the source has to make and we have to read.
_LONGEST_WINDOW = 16
_FIELDS = ("session_id", "session_items", "session_start_time")


class _StartTime(msgspec.Struct):
    """The one field that decides where a record belongs."""

    session_start_time: Any = None  # only a string can be an instant, but a record with anything else is a record too


_START_TIME = msgspec.json.Decoder(_StartTime)


@dataclass(frozen=True, slots=True, kw_only=True)
class _FetchedWindow:
    """What one window brought: a file and its digest for each of its days, and the records that have no day."""

    files: dict[date, tuple[RecordFile, str]]
    undated: Path
    response: ApiResponse


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
        RefusedError: the days together shrank by more than the share `max_shrink`, or are far older than those in use.
        RetriableError: the API was away or broke off.
        DeftunesError: the API refused, or sent something else than records.

    """
    days = sorted(days)
    with (
        tempfile.TemporaryDirectory() as folder,
        ThreadPoolExecutor(concurrency, thread_name_prefix="sessions") as pool,
    ):
        fetched = _fetch_all(api, windows(days), Path(folder), pool)
        in_use = landings.in_use_between(Interval(days[0], days[-1] + ONE_DAY))
        refuse_shrunk(
            landings.entity,
            interval,
            had=sum(in_use[unit].rows for unit in map(layout.day_unit, days) if unit in in_use),
            came=sum(file.rows for window in fetched for file, _ in window.files.values()),
            max_shrink=max_shrink,
            accept_shrink=accept_shrink,
        )
        drafts = _day_drafts(fetched)
        # One unit however the run is cut into windows, so that another concurrency lands nothing anew.
        undated = _undated_draft(fetched, layout.undated_unit(days[0]), Path(folder) / "undated")
        if undated.rows or undated.unit in in_use:
            drafts.append(undated)
        believed_until = min(window.response.received_at for window in fetched) + MAX_CLOCK_SKEW
        refuse_older(drafts, in_use, landings.entity, believed_until)
        committed = list(
            pool.map(lambda draft: landings.commit(draft, interval, believed_until=believed_until), drafts)
        )
    written, unchanged = units_of(committed)
    return Landed(
        entity=landings.entity,
        interval=interval,
        extracted_at=_extracted_at(fetched),
        written=written,
        unchanged=unchanged,
        rows=sum(draft.rows for draft in drafts),
        bytes=sum(window.response.bytes for window in fetched),
        tries=sum(window.response.tries for window in fetched),
        notes=notes_of(committed),
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


class _DayPartitioner:
    """Writes the sessions of a window to a file for each of its days, those of other days to none."""

    def __init__(self, days: list[date], folder: Path) -> None:
        self.files = {day: RecordFile(folder / layout.day_unit(day) / PART) for day in days}
        self.undated = folder / "undated.jsonl"
        self._undated = self.undated.open("wb")
        self.probe = RecordProbe(Entity.SESSIONS, _FIELDS)

    def receive(self, records: list[bytes]) -> None:
        self.probe.observe(records)
        for record, day in zip(records, _days_of(records), strict=True):
            if day is None:
                self._undated.write(record + b"\n")
            elif day in self.files:
                self.files[day].add(record)

    def close(self) -> None:
        for file in self.files.values():
            file.close()
        self._undated.close()


def _fetch_all(
    api: PurchaseApi, asked: list[list[date]], folder: Path, pool: ThreadPoolExecutor
) -> list[_FetchedWindow]:
    jobs = [pool.submit(_fetch, api, days, folder / str(number)) for number, days in enumerate(asked)]
    try:
        return [job.result() for job in jobs]
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        raise


def _fetch(api: PurchaseApi, days: list[date], folder: Path) -> _FetchedWindow:
    with contextlib.closing(_DayPartitioner(days, folder)) as partitioner:
        # An `end_date` that is not included must be the second day after the last one, since a record of the last UTC
        # day may carry the next day's date in its own zone.
        response = api.sessions(days[0] - ONE_DAY, days[-1] + 2 * ONE_DAY, partitioner.receive)
        partitioner.probe.reject_unrecognized(response)
        files = {day: (file, file.finish()) for day, file in partitioner.files.items()}
        return _FetchedWindow(files=files, undated=partitioner.undated, response=response)


def _extracted_at(fetched: list[_FetchedWindow]) -> datetime:
    """One run is one extract: its days carry the same instant, the earliest of its responses."""
    return min(window.response.extracted_at for window in fetched)


def _day_drafts(fetched: list[_FetchedWindow]) -> list[Draft]:
    extracted_at = _extracted_at(fetched)
    return [
        Draft(
            unit=layout.day_unit(day),
            extracted_at=extracted_at,
            digest=digest,
            rows=file.rows,
            files=file.files(),
            requests=window.response.requests,
        )
        for window in fetched
        for day, (file, digest) in window.files.items()
    ]


def _undated_draft(fetched: list[_FetchedWindow], unit: str, folder: Path) -> Draft:
    """The records without a day, each once though several windows may have brought it."""
    seen: set[bytes] = set()
    with contextlib.closing(RecordFile(folder / PART)) as file:
        for window in fetched:
            with window.undated.open("rb") as lines:
                for line in lines:
                    record = line[:-1]
                    digest = content_digest(record)
                    if digest not in seen:
                        seen.add(digest)
                        file.add(record)
        return Draft(
            unit=unit,
            extracted_at=_extracted_at(fetched),
            digest=file.finish(),
            rows=file.rows,
            files=file.files(),
            requests=tuple(request for window in fetched for request in window.response.requests),
        )


def _days_of(records: list[bytes]) -> list[date | None]:
    try:
        # All at once costs half; the decoder says only that one of them is not as the others.
        return [read_day(session.session_start_time) for session in _START_TIME.decode_lines(b"\n".join(records))]
    except UNREADABLE:
        return [day_of(record) for record in records]


def day_of(record: bytes) -> date | None:
    """The UTC day that a record belongs to, or None if it has no readable time."""
    try:
        session = _START_TIME.decode(record)
    except msgspec.ValidationError:
        return None
    except UNREADABLE:
        try:
            session = _START_TIME.decode(without_surrogates(record))
        except UNREADABLE:
            return None
    return read_day(session.session_start_time)
