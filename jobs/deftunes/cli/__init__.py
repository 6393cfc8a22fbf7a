"""The edge: parses arguments, reads settings, wires adapters, runs stages, reports, and maps errors to exit codes."""

from deftunes.cli.app import main

__all__ = ["main"]
