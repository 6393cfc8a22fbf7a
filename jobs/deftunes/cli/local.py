"""Verbs for one machine: demo, up, down."""

import sys
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deftunes.cli.common import Json, emit, open_resources, report, say

if TYPE_CHECKING:
    from deftunes.embedded import ServiceStatus

_LOCAL = "This machine"
_FIRST_DAY = date(2020, 1, 1)


def add_demo(app: typer.Typer) -> None:
    """`deftunes demo`."""

    @app.command(rich_help_panel=_LOCAL)
    def demo(
        songs: Annotated[
            Path | None,
            typer.Option(exists=True, dir_okay=False, help="MSD's CSV (.csv, .csv.gz) or track_metadata.db."),
        ] = None,
        days: Annotated[int, typer.Option(min=1, max=3_650, help="Days to run, from 2020-01-01.")] = 3,
    ) -> None:
        """Run the whole platform once on embedded services, up to a sales board: no Docker, no Java, no AWS account."""
        from deftunes.adapters.svg import Pen
        from deftunes.cli.inspect import check_pipeline, print_table
        from deftunes.core.interval import Interval
        from deftunes.core.services import Service
        from deftunes.core.stages import PipelineName
        from deftunes.operations.board import write_board
        from deftunes.operations.demo import demo_days, load_catalogue, show_views

        say("Starting PostgreSQL, S3, the Glue catalog and the Purchase API on this machine …")
        with open_resources(Service.AWS, Service.POSTGRES) as resources:
            say(load_catalogue(resources.settings, songs))
        with open_resources(*Service) as resources:
            last = _FIRST_DAY + timedelta(days=days)
            for interval, outcomes in demo_days(resources, _FIRST_DAY, last):
                say(f"\n{interval.start}")
                report(resources, outcomes, interval, as_json=False, has_warehouse=True)
            say("")
            check_pipeline(resources, PipelineName.ALL, Interval(_FIRST_DAY, last), as_json=False)
            with Pen() as pen:
                for name, answer in show_views(resources.warehouse):
                    print_table(name, answer.columns, answer.rows)
                board = write_board(resources, pen)
            sys.stdout.write(_where_to_look(resources.settings.api_url or "", board.path))


def add_up_and_down(app: typer.Typer) -> None:
    """`deftunes up` and `deftunes down`."""

    @app.command(rich_help_panel=_LOCAL)
    def up(as_json: Json = False) -> None:
        """Start the embedded services; any verb starts those it needs by itself."""
        from deftunes import embedded
        from deftunes.core.settings import prepare_process, read_settings

        settings = read_settings()
        prepare_process(settings)
        embedded.up(settings)
        for status in embedded.service_statuses(settings):
            _report(status, as_json=as_json)

    @app.command(rich_help_panel=_LOCAL)
    def down(as_json: Json = False) -> None:
        """Stop the embedded services; their data stays in DEFTUNES_HOME."""
        from deftunes import embedded
        from deftunes.core.settings import read_settings

        stopped = embedded.down(read_settings())
        if as_json:
            emit({"stopped": list(stopped)})
        else:
            say(f"stopped: {', '.join(stopped) or 'nothing was running'}")


def _report(status: "ServiceStatus", *, as_json: bool) -> None:
    if as_json:
        emit({
            "part": status.service, "up": status.is_up, "address": status.address, "pid": status.pid,
            "log": str(status.log),
        })  # fmt: skip
    else:
        say(f"{status.service:<10} {'up' if status.is_up else 'down':<5} {status.address or ''}")


def _where_to_look(api_url: str, board: Path) -> str:
    return f"""
Where to look next
  deftunes query "table deftunes_serving.fact_session"
  deftunes status                  what main holds and how the runs ended
  deftunes quarantine list         rejected records and why
  deftunes run all --start 2020-01-04 --end 2020-01-05
  {api_url}/docs    the simulated Purchase API
  deftunes down                    stop the services (their state is kept)

The sales board: open this file in a browser
  {board}
"""
