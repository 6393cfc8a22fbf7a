"""Stages in order: what one verb runs, and what `run` does with all of them.

    extract -> (plan -> transform -> quality -> publish) -> load -> model
           again from the plan when another run came first, three times at most

A stage, and what the plan needs, is imported when its turn comes: an image holds only what its own stages import, and
a landing of sessions or a build of models loads no Iceberg.
"""

import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib import import_module
from typing import TYPE_CHECKING

from deftunes.adapters.failures import aws_failures
from deftunes.core.entities import Entity, entities_of
from deftunes.core.errors import DeftunesError, NotPreparedError, RetriableError
from deftunes.core.interval import Interval
from deftunes.core.progress import stage_at_work
from deftunes.core.stages import ExtractOptions, PipelineName, RunWindow, Stage
from deftunes.job import Job
from deftunes.resources import Resources
from deftunes.state.landings import days_to_ask

if TYPE_CHECKING:
    from _typeshed import DataclassInstance as Result

    from deftunes.state.batches import Batch

_TRIES = 3
_PAUSE_SECONDS = 0.5
_WAP = (Stage.TRANSFORM, Stage.QUALITY, Stage.PUBLISH)  # write, audit, publish


@dataclass(frozen=True, slots=True, kw_only=True)
class NothingNew:
    """`main` holds these landings under these rules already."""

    entity: Entity
    batch_id: str | None
    nothing_new: bool = True


@dataclass(frozen=True, slots=True)
class Outcome:
    """One stage of one entity, done."""

    stage: Stage
    entity: Entity | None
    result: "Result"


def run_pipeline(
    resources: Resources, name: PipelineName, asked: Interval, options: ExtractOptions | None = None
) -> Iterator[Outcome]:
    """All stages of a pipeline for an interval, yielding each outcome as it comes.

    Raises:
        DeftunesError: a stage failed; what came before it stands, and running again goes on from there.
    """
    import_module("deftunes.model.stage").get_ready(resources)
    with aws_failures():
        jobs = [
            Job(entity=entity, window=run_window(resources, entity, asked), options=options or ExtractOptions())
            for entity in entities_of(name)
        ]
        for job in jobs:
            yield execute(Stage.EXTRACT, resources, job)
        for job in jobs:
            yield from write_audit_publish(resources, job)
        for job in jobs:
            yield execute(Stage.LOAD, resources, job)
        yield execute(Stage.MODEL, resources, Job(window=run_window(resources, None, asked)))


def run_stage(
    resources: Resources, stage: Stage, entity: Entity | None, asked: Interval, options: ExtractOptions
) -> Iterator[Outcome]:
    """One stage by itself: what a container or a Glue job runs. It demands its predecessor's proof first.

    Not `model`, which is for no entity: it computes what was loaded, and `check` after it proves that it was all.

    Raises:
        DeftunesError: the stage before has not run for this interval, or this one failed.
    """
    resources.begin(stage, entity)
    with aws_failures():
        job = Job(entity=entity, window=run_window(resources, entity, asked), options=options)
        if stage in _WAP:
            yield from _run_planned(resources, stage, replace(job, batch=plan(resources, job)), asked)
            return
        if stage is Stage.LOAD:
            expect_published(resources, job.expect_entity(), asked, f"deftunes publish {entity}")
        yield execute(stage, resources, job)


def run_window(resources: Resources, entity: Entity | None, asked: Interval) -> RunWindow:
    """Widen a call's interval by the look-back: for events and what follows from them, not for snapshots."""
    if entity is not None and entity.is_snapshot:
        return RunWindow(asked, tuple(asked.days()))
    look_back = resources.settings.look_back
    days = days_to_ask(resources.landings(Entity.SESSIONS), asked, look_back)
    return RunWindow(asked.widened(look_back) if look_back else asked, days)


def execute(stage: Stage, resources: Resources, job: Job) -> Outcome:
    """Execute one stage by its entry, `run` of its module `stage`; no other place calls one."""
    resources.begin(stage, job.entity)
    with stage_at_work(f"{stage} {job.entity or ''}".rstrip()):
        result: Result = import_module(f"deftunes.{stage}.stage").run(resources, job)
    return Outcome(stage, job.entity, result)


def plan(resources: Resources, job: Job) -> "Batch":
    """The batch of a job against what `main` holds at this moment."""
    from deftunes.adapters.catalog import Refs, silver_table
    from deftunes.state.batches import plan_batch

    entity = job.expect_entity()
    refs = Refs(silver_table(resources.catalog, entity))
    return plan_batch(resources.lake, refs, entity, job.window, resources.rules(entity).digest)


def expect_published(resources: Resources, entity: Entity, asked: Interval, command: str) -> "Batch":
    """The batch of an interval, which `main` holds already.

    Raises:
        DeftunesError: it does not; the message names `command` as the next step.
    """
    batch = plan(resources, Job(entity=entity, window=run_window(resources, entity, asked)))
    if not batch.is_published:
        raise DeftunesError(
            f"expected main to hold the landings of {entity} in use for {asked}, got {len(batch.pending)} that it "
            f"does not hold (first: {batch.pending[0]}); run: {command} --start {asked.start} --end {asked.end}"
        )
    return batch


def write_audit_publish(resources: Resources, job: Job, *, until: Stage = Stage.PUBLISH) -> Iterator[Outcome]:
    """Transform, audit and publish what `main` lacks; planned again when another run came first.

    `until` QUALITY leaves the batch on its branch.

    Raises:
        RetriableError: other runs came first three times.
    """
    resources.begin(Stage.TRANSFORM, job.entity)  # what planning fails for
    for last in (False,) * (_TRIES - 1) + (True,):
        planned = replace(job, batch=plan(resources, job))
        if planned.expect_batch().is_published:
            yield finalize_unchanged(resources, job)
            return
        try:
            for stage in _WAP[: _WAP.index(until) + 1]:
                yield execute(stage, resources, planned)
        except RetriableError:
            if last:
                raise
            time.sleep(random.uniform(0, _PAUSE_SECONDS))
        else:
            return


def finalize_unchanged(resources: Resources, job: Job) -> Outcome:
    """Nothing new: finish what a killed publish may have left undone."""
    from deftunes.publish.stage import finalize_publish

    entity = job.expect_entity()
    published = finalize_publish(resources.lake, resources.catalog, entity)
    return Outcome(Stage.PUBLISH, entity, NothingNew(entity=entity, batch_id=published))


def _run_planned(resources: Resources, stage: Stage, job: Job, asked: Interval) -> Iterator[Outcome]:
    if job.expect_batch().is_published:
        yield replace(finalize_unchanged(resources, job), stage=stage)
    elif stage is Stage.TRANSFORM:
        yield execute(stage, resources, job)
    else:
        yield from _run_or_replan(resources, stage, job, asked)


def _run_or_replan(resources: Resources, stage: Stage, job: Job, asked: Interval) -> Iterator[Outcome]:
    """Run one stage; where something came between it and the stage before, both again on what `main` holds now.

    Where the stage before has not run at all there is nothing to run again: that is an error.
    """
    from deftunes.state.verdicts import is_superseded

    batch = job.expect_batch()
    try:
        yield execute(stage, resources, job)
    except NotPreparedError as error:
        if not is_superseded(resources.lake, resources.catalog, batch, audited=stage is Stage.PUBLISH):
            before = _WAP[_WAP.index(stage) - 1]
            # The days asked for, not the batch's: these are widened already and would be widened once more.
            raise DeftunesError(
                f"{error}; run: deftunes {before} {batch.entity} --start {asked.start} --end {asked.end}"
            ) from error
        window = run_window(resources, batch.entity, asked)
        yield from write_audit_publish(resources, replace(job, window=window, batch=None), until=stage)
