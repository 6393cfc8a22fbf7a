"""Stages in order: what one verb runs, and what `run` does with all of them.

extract -> (plan -> transform -> quality -> publish) -> load -> model
           again from the plan when another run came first, three times at most
"""

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from deftunes.adapters.failures import aws_failures
from deftunes.core.entities import Entity
from deftunes.core.errors import DeftunesError, RetriableError
from deftunes.core.interval import Interval

if TYPE_CHECKING:
    from _typeshed import DataclassInstance as Result

    from deftunes.resources import Platform
    from deftunes.state.batches import Batch

_TRIES = 3
_PAUSE_SECONDS = 0.5


class Stage(StrEnum):
    """The stages, in order."""

    EXTRACT = "extract"
    TRANSFORM = "transform"
    QUALITY = "quality"
    PUBLISH = "publish"
    LOAD = "load"
    MODEL = "model"


class PipelineName(StrEnum):
    """What `run` and `backfill` bring up to date; each is a DAG, `all` is both."""

    SONGS = "songs"
    API = "api"
    ALL = "all"

    @property
    def entities(self) -> tuple[Entity, ...]:
        """Its entities, in the order of publishing."""
        return {
            PipelineName.SONGS: (Entity.SONGS,),
            PipelineName.API: (Entity.USERS, Entity.SESSIONS),
            PipelineName.ALL: tuple(Entity),
        }[self]


@dataclass(frozen=True, slots=True)
class Scope:
    """What one call is about: the interval (widened for sessions) and, of sessions, the days in it."""

    interval: Interval
    days: tuple[date, ...]


@dataclass(frozen=True, slots=True)
class ExtractOptions:
    """What a person may decide for one extract."""

    accept_shrink: bool = False
    full: bool = False


@dataclass(frozen=True, slots=True)
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


def scope_of(platform: "Platform", entity: Entity | None, asked: Interval) -> Scope:
    """Widen a call's interval by the look-back: for sessions and what follows from them, not for snapshots."""
    if entity is not None and entity.is_snapshot:
        return Scope(asked, tuple(asked.days()))
    from deftunes.state.landings import days_to_ask  # noqa: PLC0415

    look_back = platform.settings.look_back
    days = days_to_ask(platform.landings(Entity.SESSIONS), asked, look_back)
    return Scope(asked.widened(look_back) if look_back else asked, days)


def run_pipeline(
    platform: "Platform", name: PipelineName, asked: Interval, options: ExtractOptions | None = None
) -> Iterator[Outcome]:
    """All stages of a pipeline for an interval, yielding each outcome as it comes.

    Raises:
        DeftunesError: a stage failed; what came before it stands, and running again goes on from there.
    """
    with aws_failures():
        scopes = {entity: scope_of(platform, entity, asked) for entity in name.entities}
        for entity, scope in scopes.items():
            yield Outcome(Stage.EXTRACT, entity, extract(platform, entity, scope, options or ExtractOptions()))
        for entity, scope in scopes.items():
            yield from bring(platform, entity, scope)
        for entity in name.entities:
            yield Outcome(Stage.LOAD, entity, load(platform, entity))
        yield Outcome(Stage.MODEL, None, model(platform, scope_of(platform, None, asked)))


def extract(platform: "Platform", entity: Entity, scope: Scope, options: ExtractOptions) -> "Result":
    """Land what the source holds now."""
    landings = platform.landings(entity)
    settings = platform.settings
    match entity:
        case Entity.SONGS:
            from deftunes.extract.songs import land_songs  # noqa: PLC0415

            held = _held(platform, entity)
            return land_songs(
                platform.songs_source,
                landings,
                scope.interval,
                published=landings.read(next(iter(held.landings.values()))) if held else None,
                conflicts=held.conflicts if held else 0,
                full_after=settings.songs_full_after,
                force_full=options.full,
                max_shrink=settings.max_shrink,
                accept_shrink=options.accept_shrink,
            )
        case Entity.USERS:
            from deftunes.extract.users import land_users  # noqa: PLC0415

            return land_users(
                platform.api,
                landings,
                scope.interval,
                max_shrink=settings.max_shrink,
                accept_shrink=options.accept_shrink,
            )
        case Entity.SESSIONS:
            from deftunes.extract.sessions import land_sessions  # noqa: PLC0415

            return land_sessions(
                platform.api,
                landings,
                scope.interval,
                scope.days,
                max_shrink=settings.max_shrink,
                accept_shrink=options.accept_shrink,
                concurrency=settings.http_concurrency,
            )


def plan(platform: "Platform", entity: Entity, scope: Scope) -> "Batch":
    """The batch of a scope against what `main` holds at this moment."""
    from deftunes.adapters.catalog import Refs, silver_table  # noqa: PLC0415
    from deftunes.state.batches import plan_batch  # noqa: PLC0415

    refs = Refs(silver_table(platform.catalog, entity))
    return plan_batch(platform.lake, refs, entity, scope.interval, scope.days, platform.rules(entity).digest)


def transform(platform: "Platform", batch: "Batch") -> "Result":
    """Write the batch to its branch."""
    from deftunes.adapters.spark import spark_failures  # noqa: PLC0415
    from deftunes.transform.stage import transform as write  # noqa: PLC0415

    with spark_failures(platform.settings):
        return write(platform.open_spark, platform.lake, platform.catalog, batch, platform.rules(batch.entity))


def quality(platform: "Platform", batch: "Batch") -> "Result":
    """Judge the batch on its branch."""
    from deftunes.adapters.spark import spark_failures  # noqa: PLC0415
    from deftunes.quality.stage import audit  # noqa: PLC0415

    with spark_failures(platform.settings):
        return audit(
            platform.open_spark,
            platform.lake,
            platform.catalog,
            batch,
            platform.rules(batch.entity),
            max_rejected=platform.settings.max_rejected,
        )


def publish(platform: "Platform", batch: "Batch") -> "Result":
    """Move `main` to the batch."""
    from deftunes.publish.stage import publish as move  # noqa: PLC0415

    return move(platform.lake, platform.catalog, batch)


def bring(platform: "Platform", entity: Entity, scope: Scope, *, until: Stage = Stage.PUBLISH) -> Iterator[Outcome]:
    """Transform, judge and publish what `main` lacks; planned again when another run came first.

    `until` QUALITY leaves the batch on its branch.

    Raises:
        RetriableError: other runs came first three times.
    """
    for last in (False,) * (_TRIES - 1) + (True,):
        batch = plan(platform, entity, scope)
        if batch.is_published:
            yield Outcome(Stage.PUBLISH, entity, settled(platform, entity))
            return
        try:
            yield Outcome(Stage.TRANSFORM, entity, transform(platform, batch))
            yield Outcome(Stage.QUALITY, entity, quality(platform, batch))
            if until is Stage.PUBLISH:
                yield Outcome(Stage.PUBLISH, entity, publish(platform, batch))
        except RetriableError:
            if last:
                raise
            time.sleep(random.uniform(0, _PAUSE_SECONDS))  # noqa: S311 - spreads two runs, hides nothing
        else:
            return


def settled(platform: "Platform", entity: Entity) -> NothingNew:
    """Nothing new: finish what a killed publish may have left undone."""
    from deftunes.publish.stage import settle  # noqa: PLC0415

    settle(platform.lake, platform.catalog, entity)
    held = _held(platform, entity)
    return NothingNew(entity, held.batch_id if held else None)


def load(platform: "Platform", entity: Entity) -> "Result":
    """Bring published silver to the warehouse."""
    from deftunes.load.stage import load as bring_rows  # noqa: PLC0415

    return bring_rows(platform.catalog, platform.lake, platform.warehouse, entity)


def model(platform: "Platform", scope: Scope) -> "Result":
    """Build gold for the interval."""
    from deftunes.model.stage import model as build  # noqa: PLC0415

    settings = platform.settings
    return build(platform.warehouse, scope.interval, project=settings.dbt_project, work=settings.home / "dbt")


def run_stage(
    platform: "Platform", stage: Stage, entity: Entity | None, asked: Interval, options: ExtractOptions
) -> Iterator[Outcome]:
    """One stage by itself: what a container or a Glue job runs. It demands its predecessor's proof first.

    Not `model`, which is for no entity: it computes what was loaded, and `check` after it proves that it was all.

    Raises:
        DeftunesError: the stage before has not run for this interval, or this one failed.
    """
    with aws_failures():
        yield from _run_stage(platform, stage, entity, asked, options)


def expect_published(platform: "Platform", entity: Entity, asked: Interval, command: str) -> "Batch":
    """The batch of an interval, which `main` holds already.

    Raises:
        DeftunesError: it does not; `command` is named as what brings it there.
    """
    batch = plan(platform, entity, scope_of(platform, entity, asked))
    if not batch.is_published:
        raise DeftunesError(
            f"expected main to hold the landings of {entity} in use for {asked}, got {len(batch.pending)} that it "
            f"does not hold (first: {batch.pending[0]}); run: {command} --start {asked.start} --end {asked.end}"
        )
    return batch


def _run_stage(
    platform: "Platform", stage: Stage, entity: Entity | None, asked: Interval, options: ExtractOptions
) -> Iterator[Outcome]:
    scope = scope_of(platform, entity, asked)
    if stage is Stage.MODEL:
        yield Outcome(stage, None, model(platform, scope))
        return
    assert entity is not None
    if stage is Stage.EXTRACT:
        yield Outcome(stage, entity, extract(platform, entity, scope, options))
        return
    if stage is Stage.LOAD:
        expect_published(platform, entity, asked, f"deftunes publish {entity}")
        yield Outcome(stage, entity, load(platform, entity))
        return
    batch = plan(platform, entity, scope)
    if batch.is_published:
        yield Outcome(stage, entity, settled(platform, entity))
    elif stage is Stage.TRANSFORM:
        yield Outcome(stage, entity, transform(platform, batch))
    elif stage is Stage.QUALITY:
        yield from _do_or_bring(platform, stage, quality, batch, asked)
    else:
        yield from _do_or_bring(platform, stage, publish, batch, asked)


def _do_or_bring(
    platform: "Platform", stage: Stage, act: "Callable[[Platform, Batch], Result]", batch: "Batch", asked: Interval
) -> Iterator[Outcome]:
    """Do one stage; where something came between it and the stage before, both are done again on what `main` holds now.

    Where the stage before has not run at all there is nothing to do again: that is an error.
    """
    from deftunes.quality.stage import was_overtaken  # noqa: PLC0415
    from deftunes.state.batches import NotPreparedError  # noqa: PLC0415

    try:
        yield Outcome(stage, batch.entity, act(platform, batch))
    except NotPreparedError as error:
        if not was_overtaken(platform.lake, platform.catalog, batch, audited=stage is Stage.PUBLISH):
            before = Stage.TRANSFORM if stage is Stage.QUALITY else Stage.QUALITY
            # The days asked for, not the batch's: these are widened already and would be widened once more.
            raise DeftunesError(
                f"{error}; run: deftunes {before} {batch.entity} --start {asked.start} --end {asked.end}"
            ) from error
        yield from bring(platform, batch.entity, scope_of(platform, batch.entity, asked), until=stage)


def _held(platform: "Platform", entity: Entity) -> Any:
    from deftunes.adapters.catalog import Refs, silver_table  # noqa: PLC0415
    from deftunes.state.batches import held_manifest  # noqa: PLC0415

    return held_manifest(platform.lake, Refs(silver_table(platform.catalog, entity)), entity)
