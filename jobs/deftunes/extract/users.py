"""Land the users: the whole list as the Purchase API holds it now.

    GET /users  ->  landing/users/snapshot/<extracted_at>-<digest>/part-00000.jsonl.gz + receipt

The interval only names the run. The same list again, in any order, writes nothing; a list that lost too many users is
refused and the landing before it stays in use.
"""

import contextlib
import tempfile
from pathlib import Path

from deftunes.adapters.http import PurchaseApi
from deftunes.core import layout
from deftunes.core.clock import MAX_CLOCK_SKEW
from deftunes.core.entities import Entity
from deftunes.core.interval import Interval
from deftunes.core.progress import begin_count, count
from deftunes.extract.landed import Landed, notes_of, refuse_older, refuse_shrunk, units_of
from deftunes.extract.records import PART, RecordFile, RecordProbe
from deftunes.job import Job
from deftunes.resources import Resources
from deftunes.state.landings import Draft, Landings

_FIELDS = ("user_name", "user_lastname", "user_since", "user_location")


def run(resources: Resources, job: Job) -> Landed:
    """Land what the Purchase API holds for the window."""
    return land_users(
        resources.api,
        resources.landings(Entity.USERS),
        job.window.interval,
        max_shrink=resources.settings.max_shrink,
        accept_shrink=job.options.accept_shrink,
    )


def land_users(
    api: PurchaseApi, landings: Landings, interval: Interval, *, max_shrink: float, accept_shrink: bool = False
) -> Landed:
    """Land the list of users.

    Raises:
        RefusedError: the list shrank by more than the share `max_shrink`, or is far older than the one in use.
        RetriableError: the API was away or broke off.
        DeftunesError: the API refused, or sent something else than records.

    """
    probe = RecordProbe(Entity.USERS, _FIELDS)
    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.closing(RecordFile(Path(folder) / PART)) as file,
    ):
        begin_count("users")

        def receive(records: list[bytes]) -> None:
            count(len(records))
            probe.observe(records)
            for record in records:
                file.add(record)

        response = api.users(receive)
        probe.reject_unrecognized(response)
        digest = file.finish()
        in_use = landings.in_use(layout.SNAPSHOT)
        refuse_shrunk(
            landings.entity,
            interval,
            had=in_use.rows if in_use else 0,
            came=file.rows,
            max_shrink=max_shrink,
            accept_shrink=accept_shrink,
        )
        draft = Draft(
            unit=layout.SNAPSHOT,
            extracted_at=response.extracted_at,
            digest=digest,
            rows=file.rows,
            files=file.files(),
            requests=response.requests,
        )
        believed_until = response.received_at + MAX_CLOCK_SKEW
        refuse_older([draft], {layout.SNAPSHOT: in_use} if in_use else {}, landings.entity, believed_until)
        committed = landings.commit(draft, interval, believed_until=believed_until)
    written, unchanged = units_of([committed])
    return Landed(
        entity=landings.entity,
        interval=interval,
        extracted_at=committed.receipt.extracted_at,
        written=written,
        unchanged=unchanged,
        rows=file.rows,
        bytes=response.bytes,
        tries=response.tries,
        notes=notes_of([committed]),
    )
