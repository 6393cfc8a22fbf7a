"""What every embedded part is to its supervisor."""

from signal import Signals
from typing import ClassVar, Protocol

from deftunes.core.services import Service
from deftunes.core.settings import Settings
from deftunes.embedded.home import Home, Record


class Server(Protocol):
    """One kind of part: how it is started, asked, set up and named in the settings."""

    part: ClassVar[Service]
    stop_signal: ClassVar[Signals]

    def prepare(self, home: Home) -> dict[str, str]:
        """Make what it needs before its start, safe to repeat; returns the facts that the record keeps."""
        ...

    def command(self, home: Home, port: int, facts: dict[str, str], settings: Settings) -> list[str]:
        """What to run."""
        ...

    def environment(self, home: Home) -> dict[str, str]:
        """What it finds in its environment besides ours."""
        ...

    def answers(self, record: Record) -> bool:
        """Whether it serves. Asked by every command: a few milliseconds, no import."""
        ...

    def furnish(self, home: Home, record: Record, settings: Settings) -> None:
        """Set it up once it answers: databases, bucket, catalogue. Safe to repeat."""
        ...

    def fill(self, home: Home, record: Record, settings: Settings) -> dict[str, object]:
        """The settings it stands for, of those that are unset."""
        ...

    def address(self, record: Record) -> str:
        """Where people find it; holds no secret."""
        ...

    def tidy(self, record: Record) -> None:
        """Take away what it left outside of its home, once it has stopped."""
        ...
