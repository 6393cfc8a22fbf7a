"""The Purchase API's simulator, for machines without the real one. Run as a process, never imported."""

import signal
import sys
from typing import ClassVar

from deftunes.core.services import Service
from deftunes.core.settings import Settings
from deftunes.embedded.home import Home, Record, write_whole
from deftunes.embedded.process import LOOPBACK, answers_http

_SEED = "1"


class Api:
    """The part `api`."""

    part: ClassVar[Service] = Service.API
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM

    def prepare(self, home: Home) -> dict[str, str]:
        """Where it keeps its clock."""
        home.data(self.part).mkdir(mode=0o700, exist_ok=True)
        return {}

    def command(self, home: Home, port: int, facts: dict[str, str], settings: Settings) -> list[str]:
        """The simulator, selling what the catalogue holds. The DSN goes by file: arguments are everybody's to read."""
        assert settings.songs_dsn is not None
        dsn = home.secret("catalog-dsn")
        write_whole(dsn, settings.songs_dsn.get_secret_value())
        return [
            sys.executable, "-P", "-m", "purchase_api", "serve", "--port", str(port), "--seed", _SEED,
            "--catalog-dsn-file", str(dsn), "--state-dir", str(home.data(self.part)),
            # The shop has closed every day that somebody asked for, so any interval has its sales.
            "--clock", "follows",
        ]  # fmt: skip

    def environment(self, home: Home) -> dict[str, str]:
        """Nothing of its own."""
        return {}

    def answers(self, record: Record) -> bool:
        """Whether it serves."""
        return answers_http(record.port, "/health")

    def furnish(self, home: Home, record: Record, settings: Settings) -> None:
        """Nothing to set up."""

    def fill(self, home: Home, record: Record, settings: Settings) -> dict[str, object]:
        """Its base URL."""
        return {"api_url": f"http://{LOOPBACK}:{record.port}"}

    def address(self, record: Record) -> str:
        """Its interactive documentation is at /docs."""
        return f"http://{LOOPBACK}:{record.port}"

    def tidy(self, record: Record) -> None:
        """It leaves nothing."""
