"""Every verb of the command line, in the order of `--help`."""

from typing import NoReturn

import typer

from deftunes.adapters.no_pandas import hide_pandas
from deftunes.cli import inspect, local, stages
from deftunes.cli.failures import exit_with

_HELP = """DeFtunes data platform: sources to BI views, every day, exactly once.

Start with [bold]deftunes demo[/]. Without settings everything runs on embedded services, which keep their data in
DEFTUNES_HOME; [bold]deftunes env[/] lists the settings that point it at your own PostgreSQL, API, S3 and warehouse.

Exit codes: 0 done, 1 failed, 2 bad usage, 3 refused (a person decides), 75 try again later.
"""

app = typer.Typer(
    help=_HELP, no_args_is_help=True, rich_markup_mode="rich", pretty_exceptions_enable=False, add_completion=False
)
local.add_demo(app)
stages.add_run(app)
stages.add_backfill(app)
stages.add_maintain(app)
inspect.add_query(app)
inspect.add_board(app)
inspect.add_status(app)
inspect.add_check(app)
inspect.add_quarantine(app)
inspect.add_doctor(app)
inspect.add_env(app)
local.add_up_and_down(app)
stages.add_stages(app)


def main() -> NoReturn:
    """Run the command line and end this process."""
    hide_pandas()
    exit_with(app)
