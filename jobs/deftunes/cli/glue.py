"""How a Glue job becomes a command: Glue passes named arguments only, and sets no environment variable.

    --stage transform --entity songs --start D --end D --DEFTUNES_LAKE s3://...   ->   transform songs --start D --end D

What Glue adds of its own (--JOB_NAME, --TempDir, bookmark options, ...) is passed over.
"""

import sys
from collections.abc import Mapping, Sequence

from deftunes.core.errors import BadUsageError

_SETTINGS = ("DEFTUNES_", "AWS_")


def command_of(arguments: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """The command line and the settings that a job's arguments stand for.

    Raises:
        BadUsageError: an argument that every job needs is missing.
    """
    named = _named(arguments)
    missing = [name for name in ("stage", "entity", "start", "end") if name not in named]
    if missing:
        raise BadUsageError(
            f"expected the job arguments --stage, --entity, --start and --end, got no --{missing[0]}. The job defines "
            "the first two, the run passes the interval: --start YYYY-MM-DD --end YYYY-MM-DD"
        )
    command = [named["stage"], named["entity"], "--start", named["start"], "--end", named["end"], "--json"]
    return command, {name: value for name, value in named.items() if name.startswith(_SETTINGS)}


def main() -> None:
    """Run the command that this job's arguments stand for."""
    from deftunes.cli.app import app
    from deftunes.cli.failures import exit_with
    from deftunes.core.settings import exported

    def run() -> None:
        command, settings = command_of(sys.argv[1:])
        sys.argv = ["deftunes", *command]
        with exported(settings):
            app()

    try:
        exit_with(run)
    except SystemExit as end:
        if end.code:  # Glue takes every SystemExit for a failure, the one that says 0 too
            raise


def _named(arguments: Sequence[str]) -> Mapping[str, str]:
    """`--name value` and `--name=value`; a name without a value has the empty one."""
    named: dict[str, str] = {}
    rest = list(arguments)
    while rest:
        name, is_joined, value = rest.pop(0).removeprefix("--").partition("=")
        if not is_joined and rest and not rest[0].startswith("--"):
            value = rest.pop(0)
        named[name] = value
    return named
