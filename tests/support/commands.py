"""The command line as data, and its parser without what it would run."""

from collections.abc import Iterator, Sequence
from typing import Any

import typer
from typer._click.exceptions import MissingParameter, UsageError

from deftunes.cli.app import app

__all__ = ["UsageError", "commands", "parse"]
_ROOT: Any = typer.main.get_command(app)


def commands() -> dict[tuple[str, ...], Any]:
    """Every command, by the words that name it."""
    return dict(_walk(_ROOT))


def parse(words: Sequence[str], *, complete: bool) -> None:
    """Read `words` as the command line does, and run nothing. `complete`: what is required must be there.

    Raises:
        UsageError: there is no such command, option or choice.
    """
    asks_for_help = bool(words) and words[-1] == "--help"
    command, rest, context = _ROOT, list(words[: len(words) - asks_for_help]), None
    while hasattr(command, "commands"):
        if not rest and (asks_for_help or not complete):
            return
        context = command.make_context("deftunes", ["--", *rest] if rest else rest, parent=context)
        _, command, rest = command.resolve_command(context, rest)
    try:
        command.make_context(" ".join(words), rest, parent=context)
    except MissingParameter:
        if complete and not asks_for_help:
            raise


def _walk(command: Any, *path: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    if not hasattr(command, "commands"):
        yield path, command
        return
    for name, child in command.commands.items():
        yield from _walk(child, *path, name)
