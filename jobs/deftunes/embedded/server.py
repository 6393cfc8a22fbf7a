"""The interface between the supervisor and each kind of embedded service."""

from signal import Signals
from typing import ClassVar, Protocol

from deftunes.core.services import Service
from deftunes.core.settings import Settings
from deftunes.embedded.home import Home, Record


class Server(Protocol):
    """One kind of service: its command, its health check, its initialization and its settings."""

    service: ClassVar[Service]
    stop_signal: ClassVar[Signals]

    def prepare(self, home: Home) -> dict[str, str]:
        """Create what the process needs before it starts (idempotent); returns facts for its record."""
        ...

    def command(self, home: Home, port: int, facts: dict[str, str], settings: Settings) -> list[str]:
        """The command line of the process."""
        ...

    def environment(self, home: Home) -> dict[str, str]:
        """Environment variables of the process, in addition to ours."""
        ...

    def is_healthy(self, record: Record) -> bool:
        """Whether it serves requests. Every command checks this: it may take milliseconds and import nothing."""
        ...

    def initialize(self, home: Home, record: Record, settings: Settings) -> None:
        """Create its databases, bucket or catalogue on the first start, once it is healthy (idempotent)."""
        ...

    def update_settings(self, home: Home, record: Record, settings: Settings) -> dict[str, object]:
        """Values for the settings that this service provides and that are unset."""
        ...

    def address(self, record: Record) -> str:
        """Its address for people; contains no secret."""
        ...

    def cleanup(self, record: Record) -> None:
        """Remove what it left outside of its home, after it has stopped."""
        ...
