"""The embedded Purchase API: its simulator, run as a process and never imported."""

import signal
from typing import ClassVar

from deftunes.core.services import Service
from deftunes.core.settings import Settings, expect_interpreter
from deftunes.embedded.home import Home, Record, write_atomically
from deftunes.embedded.process import LOOPBACK, answers_http

_SEED = "1"


class Api:
    """The service `api`."""

    service: ClassVar[Service] = Service.API
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM

    def prepare(self, home: Home) -> dict[str, str]:
        """Create its state folder, which holds its clock."""
        home.data(self.service).mkdir(mode=0o700, exist_ok=True)
        return {}

    def command(self, home: Home, port: int, facts: dict[str, str], settings: Settings) -> list[str]:
        """The simulator, on the song catalogue. The DSN is passed as a file, because every user can read arguments."""
        assert settings.songs_dsn is not None
        dsn = home.secret("catalog-dsn")
        write_atomically(dsn, settings.songs_dsn.get_secret_value())
        return [
            expect_interpreter(), "-P", "-m", "purchase_api", "serve", "--port", str(port), "--seed", _SEED,
            "--catalog-dsn-file", str(dsn), "--state-dir", str(home.data(self.service)),
            # Its clock moves on to whatever day is requested, so every interval has sales.
            "--clock", "follows",
        ]  # fmt: skip

    def environment(self, home: Home) -> dict[str, str]:
        """No variables of its own."""
        return {}

    def is_healthy(self, record: Record) -> bool:
        """Whether its health endpoint answers."""
        return answers_http(record.port, "/health")

    def initialize(self, home: Home, record: Record, settings: Settings) -> None:
        """Nothing to create."""

    def update_settings(self, home: Home, record: Record, settings: Settings) -> dict[str, object]:
        """Its base URL."""
        return {"api_url": f"http://{LOOPBACK}:{record.port}"}

    def address(self, record: Record) -> str:
        """Its interactive documentation is at /docs."""
        return f"http://{LOOPBACK}:{record.port}"

    def cleanup(self, record: Record) -> None:
        """Nothing to remove."""
