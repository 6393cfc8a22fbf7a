"""Replay: validate the landings behind quarantine again after a rule or threshold changed, publish what passes."""

from collections.abc import Iterator

from deftunes.core import layout
from deftunes.core.entities import Entity
from deftunes.core.interval import Interval, runs_of
from deftunes.core.stages import RunWindow, Stage
from deftunes.job import Job
from deftunes.pipeline import Outcome, execute, write_audit_publish
from deftunes.resources import Resources
from deftunes.state import quarantine


def replays(resources: Resources, only: Entity | None) -> Iterator[tuple[Interval, Iterator[Outcome]]]:
    """For each run of days (each snapshot) that has rejected records: the stages that validate it again.

    Under unchanged rules `main` holds these landings already, and nothing is done.
    """
    for entity in Entity:
        if only in (None, entity):
            for window in _windows(resources, entity):
                yield window.interval, _replay(resources, Job(entity=entity, window=window))


def _replay(resources: Resources, job: Job) -> Iterator[Outcome]:
    yield from write_audit_publish(resources, job)
    yield execute(Stage.LOAD, resources, job)
    yield execute(Stage.MODEL, resources, Job(window=job.window))


def _windows(resources: Resources, entity: Entity) -> Iterator[RunWindow]:
    rejected = list(quarantine.listed(resources.catalog, entity, fields=("day",)))
    if entity.is_snapshot:
        landing = resources.landings(entity).in_use(layout.SNAPSHOT) if rejected else None
        if landing:
            yield RunWindow(landing.interval, ())
        return
    for run in runs_of(row["day"] for row in rejected if row["day"]):
        yield RunWindow(run, tuple(run.days()))
