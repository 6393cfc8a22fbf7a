"""The parts a laptop lacks (PostgreSQL, local AWS, simulated sources), as child processes with kept state."""

from deftunes.embedded.supervisor import ServiceStatus, down, parts, resolve, up

__all__ = ["ServiceStatus", "down", "parts", "resolve", "up"]
