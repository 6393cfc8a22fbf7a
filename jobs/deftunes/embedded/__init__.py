"""The services a laptop lacks (PostgreSQL, AWS, the Purchase API), as background processes with persistent state."""

from deftunes.embedded.supervisor import ServiceStatus, down, resolve, service_statuses, up

__all__ = ["ServiceStatus", "down", "resolve", "service_statuses", "up"]
