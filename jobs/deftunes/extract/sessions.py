"""Land one interval of sessions, each in the UTC day it belongs to, every field as the Purchase API sent it.

    GET /sessions?start_date&end_date, in pairs  ->  landing/sessions/<day>/<extracted_at>-<digest>/{part, receipt}

The API does not say what it means by a date: `asked` has how all dates of the days are asked for all the same, in small
requests that bring next to nothing twice. They run side by side, so that our work is done while the API makes the next
answer, and a fault costs two dates. The records of a day may come in several answers. One that came in two of them
counts once: in the later one, whose dates begin with its date; one that came twice in an answer is as the API has it.
A record whose time cannot be read lands beside the days, for quarantine.

All answers must have arrived before the first day is committed: a refused or broken interval lands nothing. Dying
between two days leaves some landed; the next run finds these unchanged and lands the rest.
"""

import contextlib
import tempfile
from collections.abc import Collection, Iterable, Iterator
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
from deftunes.core.progress import begin_count, count
from deftunes.core.records import UNREADABLE, content_digest
from deftunes.extract.asked import Asked, EndSeen, requests_for
from deftunes.extract.landed import Landed, notes_of, refuse_older, refuse_shrunk, units_of
from deftunes.extract.records import PART, RecordFile, RecordProbe
from deftunes.job import Job
from deftunes.resources import Resources
from deftunes.state.landings import Draft, Landings

_FIELDS = ("session_id", "session_items", "session_start_time")


class _StartTime(msgspec.Struct):
    """The one field that decides where a record belongs."""

    session_start_time: Any = None  # only a string can be an instant, but a record with anything else is a record too


_START_TIME = msgspec.json.Decoder(_StartTime)


class _Identity(msgspec.Struct):
    """What makes two records one: a session whose likes changed between two answers is the same."""

    session_id: msgspec.Raw = msgspec.Raw(b"")
    session_start_time: msgspec.Raw = msgspec.Raw(b"")


_IDENTITY = msgspec.json.Decoder(_Identity)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    """What one request brought: a file and its digest for each day it has records of, and those that have no day."""

    asked: Asked
    files: dict[date, tuple[RecordFile, str]]
    undated: Path
    probe: RecordProbe
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
    """Land the sessions of `days`, all days of `interval` that the run is about; `concurrency` requests at a time.

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
        answers = _fetch_all(api, days, Path(folder), pool)
        _reject_unrecognized(answers)
        in_use = landings.in_use_between(Interval(days[0], days[-1] + ONE_DAY))
        drafts = list(pool.map(lambda day: _day_draft(day, answers, Path(folder) / "joined"), days))
        refuse_shrunk(
            landings.entity,
            interval,
            had=sum(in_use[unit].rows for unit in map(layout.day_unit, days) if unit in in_use),
            came=sum(draft.rows for draft in drafts),
            max_shrink=max_shrink,
            accept_shrink=accept_shrink,
        )
        # One unit however the run is cut into requests, so that another cut lands nothing anew.
        undated = _undated_draft(answers, layout.undated_unit(days[0]), Path(folder) / "undated")
        if undated.rows or undated.unit in in_use:
            drafts.append(undated)
        believed_until = min(answer.response.received_at for answer in answers) + MAX_CLOCK_SKEW
        refuse_older(drafts, in_use, landings.entity, believed_until)
        committed = list(
            pool.map(lambda draft: landings.commit(draft, interval, believed_until=believed_until), drafts)
        )
    written, unchanged = units_of(committed)
    return Landed(
        entity=landings.entity,
        interval=interval,
        extracted_at=_extracted_at(answers),
        written=written,
        unchanged=unchanged,
        rows=sum(draft.rows for draft in drafts),
        bytes=sum(answer.response.bytes for answer in answers),
        tries=sum(answer.response.tries for answer in answers),
        notes=notes_of(committed),
    )


class _DayPartitioner:
    """Writes the sessions of an answer to a file for each of the wanted days, those of other days to none."""

    def __init__(self, asked: Asked, days: Collection[date], folder: Path) -> None:
        self.files = {day: RecordFile(folder / layout.day_unit(day) / PART) for day in days if asked.may_hold(day)}
        self.undated = folder / "undated.jsonl"
        self._undated = self.undated.open("wb")
        self.probe = RecordProbe(Entity.SESSIONS, _FIELDS)
        self.end_seen = EndSeen(asked)

    def receive(self, records: list[bytes]) -> None:
        self.probe.observe(records)
        starts = _starts_of(records)
        days = [read_day(start) for start in starts]
        self.end_seen.observe(starts, days)
        for record, day in zip(records, days, strict=True):
            if day is None:
                self._undated.write(record + b"\n")
            elif day in self.files:
                self.files[day].add(record)

    def close(self) -> None:
        for file in self.files.values():
            file.close()
        self._undated.close()


def _fetch_all(api: PurchaseApi, days: list[date], folder: Path, pool: ThreadPoolExecutor) -> list[_Answer]:
    """All answers, in the order of the dates that they were asked for."""
    folder.mkdir(exist_ok=True)
    jobs = [pool.submit(_fetch, api, asked, days, folder) for asked in requests_for(days)]
    begin_count("answers", len(jobs))
    answers: list[_Answer] = []
    try:
        for job in jobs:
            answers += job.result()
            count(1)
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    return answers


def _fetch(api: PurchaseApi, asked: Asked, days: list[date], folder: Path) -> list[_Answer]:
    """The answer to a request and, where its last date may be missing, to the one that asks for that."""
    with contextlib.closing(_DayPartitioner(asked, days, folder / f"{asked.start}")) as partitioner:
        response = api.sessions(asked.start, asked.end, partitioner.receive)
        answer = _Answer(
            asked=asked,
            files={day: (file, file.finish()) for day, file in partitioner.files.items()},
            undated=partitioner.undated,
            probe=partitioner.probe,
            response=response,
        )
    if not asked.needs_end or partitioner.end_seen.is_sure:
        return [answer]
    return [answer, *_fetch(api, asked.rest, days, folder)]


def _reject_unrecognized(answers: list[_Answer]) -> None:
    """Reject an answer without any session in it, unless all that it holds came with sessions in another one, too."""
    strange = [answer for answer in answers if not answer.probe.recognized]
    others = set[bytes]()
    if any(answer.response.rows for answer in strange):
        others.update(map(content_digest, _undated_records(answer for answer in answers if answer.probe.recognized)))
    for answer in strange:
        if not all(content_digest(record) in others for record in _undated_records([answer])):
            answer.probe.reject_unrecognized(answer.response)


def _extracted_at(answers: list[_Answer]) -> datetime:
    """One run is one extract: its days carry the same instant, the earliest of its responses."""
    return min(answer.response.extracted_at for answer in answers)


def _day_draft(day: date, answers: list[_Answer], folder: Path) -> Draft:
    asked = [answer for answer in answers if day in answer.files]
    found = [answer.files[day] for answer in asked if answer.files[day][0].rows]
    if len(found) > 1:
        file, digest = _joined([file for file, _ in found], folder / layout.day_unit(day) / PART)
    else:
        file, digest = found[0] if found else asked[0].files[day]
    return Draft(
        unit=layout.day_unit(day),
        extracted_at=_extracted_at(answers),
        digest=digest,
        rows=file.rows,
        files=file.files(),
        requests=tuple(request for answer in asked for request in answer.response.requests),
    )


def _joined(files: list[RecordFile], path: Path) -> tuple[RecordFile, str]:
    """The records of one day out of several answers, without those that a later answer has, too."""
    identities = [set(map(_identity_of, file.records())) for file in files]
    with contextlib.closing(RecordFile(path)) as joined:
        for number, file in enumerate(files, start=1):
            later = set[bytes]().union(*identities[number:])
            for record in file.records():
                if not later or _identity_of(record) not in later:
                    joined.add(record)
        return joined, joined.finish()


def _identity_of(record: bytes) -> bytes:
    try:
        found = _IDENTITY.decode(record)
    except UNREADABLE:
        return content_digest(record)
    return bytes(found.session_id) + b" " + bytes(found.session_start_time)


def _undated_records(answers: Iterable[_Answer]) -> Iterator[bytes]:
    for answer in answers:
        with answer.undated.open("rb") as lines:
            for line in lines:
                yield line[:-1]


def _undated_draft(answers: list[_Answer], unit: str, folder: Path) -> Draft:
    """The records without a day, each once though several answers may have brought it."""
    seen: set[bytes] = set()
    with contextlib.closing(RecordFile(folder / PART)) as file:
        for record in _undated_records(answers):
            digest = content_digest(record)
            if digest not in seen:
                seen.add(digest)
                file.add(record)
        return Draft(
            unit=unit,
            extracted_at=_extracted_at(answers),
            digest=file.finish(),
            rows=file.rows,
            files=file.files(),
            requests=tuple(request for answer in answers for request in answer.response.requests),
        )


def _starts_of(records: list[bytes]) -> list[object]:
    """The time of each record as it was sent; None where the record cannot be read."""
    try:
        # All at once costs half; the decoder says only that one of them is not as the others.
        return [session.session_start_time for session in _START_TIME.decode_lines(b"\n".join(records))]
    except UNREADABLE:
        return [_start_of(record) for record in records]


def _start_of(record: bytes) -> object:
    try:
        return _START_TIME.decode(record).session_start_time
    except msgspec.ValidationError:
        return None
    except UNREADABLE:
        try:
            return _START_TIME.decode(without_surrogates(record)).session_start_time
        except UNREADABLE:
            return None


def day_of(record: bytes) -> date | None:
    """The UTC day that a record belongs to, or None if it has no readable time."""
    return read_day(_start_of(record))
