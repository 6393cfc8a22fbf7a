"""The Purchase API simulator as a process of its own on a free port of loopback, and its switches."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen


@dataclass(frozen=True, slots=True)
class Simulator:
    """A simulator that runs. Every switch returns what the simulator says is now switched on."""

    url: str
    pid: int

    def get(self, path: str, **query: object) -> Any:
        """The JSON at a path, of an answer that is well."""
        parameters = "&".join(f"{name}={value}" for name, value in query.items())
        with urlopen(f"{self.url}{path}?{parameters}", timeout=60) as answer:
            return json.load(answer)

    def clock(self, now: datetime | str) -> Any:
        """Move the logical clock."""
        return self._put("clock", {"now": now if isinstance(now, str) else now.isoformat()})

    def faults(self, *faults: Mapping[str, object]) -> Any:
        """Switch these faults on and all others off: `faults({"kind": "status", "status": 503, "requests": 3})`."""
        return self._put("faults", {"faults": faults})

    def struck(self) -> int:
        """Requests that a fault has struck since `faults` was called."""
        struck: int = self.get("/simulator/faults")["struck"]
        return struck

    def bad(self, kinds: list[str] | str = "all", *, every: int = 7, days: list[date] | None = None) -> Any:
        """Add bad records of these kinds: on `days`, or each kind on every `every`-th day. `bad([])`: none."""
        on = None if days is None else [day.isoformat() for day in days]
        return self._put("bad-records", {"kinds": kinds, "every": every, "days": on})

    def behaviour(self, **habits: object) -> Any:
        """Change habits: end_date="inclusive" or "exclusive", page_size, shuffle; the others become the default."""
        return self._put("behaviour", habits)

    def truth(self, start: date, end: date) -> Any:
        """The shop's own sums over the UTC days `[start, end)`, and all bad records in them."""
        return self.get("/simulator/truth", start_date=start, end_date=end)

    def _put(self, switch: str, body: Mapping[str, object]) -> Any:
        request = Request(
            f"{self.url}/simulator/{switch}",
            json.dumps(body).encode(),
            {"content-type": "application/json"},
            method="PUT",
        )
        with urlopen(request, timeout=10) as answer:
            return json.load(answer)


@contextmanager
def running_simulator(
    *,
    seed: int = 1,
    users: int = 100,
    sessions_per_day: int = 20,
    start: str = "2020-01-01",
    clock: str | None = None,
    catalog_dsn: str | None = None,
    state_dir: Path | None = None,
    port: int = 0,
) -> Iterator[Simulator]:
    """A simulator for the length of the context."""
    command = [
        sys.executable, "-m", "purchase_api", "serve", f"--port={port}", f"--seed={seed}", f"--users={users}",
        f"--sessions-per-day={sessions_per_day}", f"--start={start}",
    ]  # fmt: skip
    environment = dict(os.environ)
    if clock is not None:
        command.append(f"--clock={clock}")
    if state_dir is not None:
        command.append(f"--state-dir={state_dir}")
    if catalog_dsn is not None:
        command.append("--catalog-dsn-env=SIMULATOR_CATALOG_DSN")
        environment["SIMULATOR_CATALOG_DSN"] = catalog_dsn
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as process:
        try:
            assert process.stdout is not None
            # Printed once it listens; nothing at all if it could not start.
            line = process.stdout.readline()
            assert line, f"the simulator stopped with exit code {process.wait()}"
            yield Simulator(json.loads(line)["url"], process.pid)
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
