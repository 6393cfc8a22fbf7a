"""`run`, `backfill` and the stages themselves."""

from dataclasses import asdict
from typing import Annotated, Any

import typer

from deftunes.cli.common import AcceptShrink, End, Full, Json, Start, emit, open_resources, report, say
from deftunes.core import layout
from deftunes.core.entities import Entity, entities_of
from deftunes.core.interval import Interval
from deftunes.core.services import Service
from deftunes.core.stages import ExtractOptions, PipelineName, Stage

_DATA = "Data"
_STAGES = "Stages (what a container or a Glue job runs)"
_NEEDS = {
    Stage.TRANSFORM: (Service.AWS,),
    Stage.QUALITY: (Service.AWS,),
    Stage.PUBLISH: (Service.AWS,),
    Stage.LOAD: (Service.AWS, Service.POSTGRES),
}
_SUMMARIES = {
    Stage.EXTRACT: "Land what a source holds, as it was sent.",
    Stage.TRANSFORM: "Type and validate landed records, write them to the batch's branch.",
    Stage.QUALITY: "Audit the batch on its branch as a whole.",
    Stage.PUBLISH: "Move main to the audited batch.",
    Stage.LOAD: "Load published silver into the warehouse.",
}


def add_run(app: typer.Typer) -> None:
    """`deftunes run`."""

    @app.command(rich_help_panel=_DATA)
    def run(
        pipeline: Annotated[PipelineName, typer.Argument(help="songs, api (users and sessions), or all.")],
        start: Start,
        end: End,
        accept_shrink: AcceptShrink = False,
        full: Full = False,
        as_json: Json = False,
    ) -> None:
        """Run all stages of a pipeline for an interval. Safe to repeat: the same source gives the same tables.

        Example: deftunes run all --start 2020-01-01 --end 2020-01-02
        """
        from deftunes.pipeline import run_pipeline

        interval = Interval(start, end)
        with open_resources(*_needs_of(pipeline)) as resources:
            outcomes = run_pipeline(resources, pipeline, interval, ExtractOptions(accept_shrink, full))
            report(resources, outcomes, interval, as_json=as_json, has_warehouse=True)


def add_backfill(app: typer.Typer) -> None:
    """`deftunes backfill`."""

    @app.command(rich_help_panel=_DATA)
    def backfill(
        pipeline: Annotated[PipelineName, typer.Argument(help="songs, api (users and sessions), or all.")],
        start: Start,
        end: End,
        chunk: Annotated[int, typer.Option(min=1, max=36_500, help="Days a chunk.")] = 30,
        again: Annotated[bool, typer.Option("--again", help="Run chunks that are finished, too.")] = False,
        accept_shrink: AcceptShrink = False,
        as_json: Json = False,
    ) -> None:
        """Run a long interval in chunks; stopped anywhere, the same command goes on after the last finished chunk.

        A chunk with a day that is not over yet is not finished: the same command runs it again.

        Example: deftunes backfill api --start 2020-01-01 --end 2021-01-01
        """
        from deftunes.cli.progress import chunk_progress

        interval = Interval(start, end)
        chunks = list(interval.chunks(chunk))
        unfinished = 0
        with open_resources(*_needs_of(pipeline)) as resources, chunk_progress(chunks, as_json=as_json) as advance:
            for part in chunks:
                key = layout.backfill_key(pipeline, f"{part.start}_{part.end}")
                if resources.lake.get(key) is not None and not again:
                    advance(part, "finished before")
                    continue
                if _run_chunk(resources, pipeline, part, ExtractOptions(accept_shrink), as_json=as_json):
                    resources.lake.put_json(key, {"pipeline": pipeline, "interval": [str(part.start), str(part.end)]})
                    advance(part, "done")
                else:
                    unfinished += 1
                    advance(part, "done as far as its days are over")
        if as_json:
            emit({
                "backfill": pipeline, "chunks": len(chunks), "unfinished": unfinished,
                "interval": [str(start), str(end)],
            })  # fmt: skip
        else:
            rest = f", {unfinished} of them to be run again when their days are over" if unfinished else ""
            say(f"backfill {pipeline} {interval}: {len(chunks)} chunks done{rest}")


def add_maintain(app: typer.Typer) -> None:
    """`deftunes maintain`."""

    @app.command(rich_help_panel=_DATA)
    def maintain(
        keep_days: Annotated[int, typer.Option(min=0, max=36_500, help="Snapshots younger than this stay.")] = 7,
        as_json: Json = False,
    ) -> None:
        """Merge small files and drop old snapshots of silver; changes no row. Once a week is plenty."""
        from deftunes.adapters.spark_failures import spark_failures
        from deftunes.operations.maintain import maintain as maintain_tables

        with open_resources(Service.AWS) as resources, spark_failures(resources.settings):
            for done in maintain_tables(resources.spark, resources.catalog, keep_days):
                if as_json:
                    emit(asdict(done))
                else:
                    say(
                        f"{done.table:<16} {done.files_rewritten} files rewritten, "
                        f"snapshots {done.snapshots_before} -> {done.snapshots_after}"
                    )


def add_stages(app: typer.Typer) -> None:
    """One verb a stage."""
    for stage in _SUMMARIES:
        _add_stage(app, stage)

    @app.command(rich_help_panel=_STAGES)
    def model(start: Start, end: End, as_json: Json = False) -> None:
        """Build and test the star schema and the BI views with dbt; one at a time per warehouse."""
        from deftunes.pipeline import run_stage

        interval = Interval(start, end)
        with open_resources(Service.AWS, Service.POSTGRES) as resources:
            outcomes = run_stage(resources, Stage.MODEL, None, interval, ExtractOptions())
            report(resources, outcomes, interval, as_json=as_json, has_warehouse=True)


def _add_stage(app: typer.Typer, stage: Stage) -> None:
    def act(entity: Entity, start: Start, end: End, options: ExtractOptions, *, as_json: bool) -> None:
        from deftunes.pipeline import run_stage

        interval = Interval(start, end)
        needs = _NEEDS.get(stage, (Service.AWS, entity.declaration.source))
        with open_resources(*needs) as resources:
            outcomes = run_stage(resources, stage, entity, interval, options)
            report(resources, outcomes, interval, as_json=as_json, has_warehouse=stage is Stage.LOAD)

    command = app.command(stage.value, help=_SUMMARIES[stage], rich_help_panel=_STAGES)
    if stage is Stage.EXTRACT:

        @command
        def extract(
            entity: Entity, start: Start, end: End, accept_shrink: AcceptShrink = False, full: Full = False,
            as_json: Json = False,
        ) -> None:  # fmt: skip
            act(entity, start, end, ExtractOptions(accept_shrink, full), as_json=as_json)

    else:

        @command
        def other(entity: Entity, start: Start, end: End, as_json: Json = False) -> None:
            act(entity, start, end, ExtractOptions(), as_json=as_json)


def _needs_of(pipeline: PipelineName) -> set[Service]:
    return {Service.AWS, Service.POSTGRES, *(entity.declaration.source for entity in entities_of(pipeline))}


def _run_chunk(
    resources: Any, pipeline: PipelineName, part: Interval, options: ExtractOptions, *, as_json: bool
) -> bool:
    """Run one chunk; returns whether it is finished."""
    from deftunes.extract.landed import Landed
    from deftunes.pipeline import run_pipeline

    outcomes = report(
        resources, run_pipeline(resources, pipeline, part, options), part, as_json=as_json, has_warehouse=True
    )
    return all(outcome.result.was_over for outcome in outcomes if isinstance(outcome.result, Landed))
