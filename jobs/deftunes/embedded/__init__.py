"""The parts a laptop lacks (PostgreSQL, AWS, the Purchase API), as background processes with persistent state."""

from deftunes.embedded.supervisor import ServiceStatus, down, parts, resolve, up

__all__ = ["ServiceStatus", "down", "parts", "resolve", "up"]
