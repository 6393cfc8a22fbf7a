"""The parts a laptop lacks (PostgreSQL, local AWS, simulated sources), as child processes with kept state."""

from deftunes.embedded.supervisor import PartStatus, down, parts, resolve, up

__all__ = ["PartStatus", "down", "parts", "resolve", "up"]
