"""Sessions: the extract of a month against `curl` of the same month, from the simulator, in one run.

    python benchmarks/extract_sessions.py [--sessions 50000] [--rounds 3] [--warm]

Each gets a simulator that has to make the month up while it is asked for, as an API does that reads a database;
`--warm` lets it answer from memory, which costs next to nothing and leaves only the work on our side.

Prints the medians, their ratio, the processor time and the peak memory of the extract's own process. Both write to this
machine's disk; S3 is left out, it is the same for every tool.
"""

import argparse
import json
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

from folder_lake import FolderLake

from deftunes.adapters.http import PurchaseApi
from deftunes.core.entities import Entity
from deftunes.core.interval import Interval
from deftunes.extract.sessions import land_sessions
from deftunes.state.landings import Landings

MONTH = Interval(date(2026, 1, 1), date(2026, 2, 1))


@contextmanager
def simulator(sessions: int, days: int = (MONTH.end - MONTH.start).days) -> Iterator[str]:
    """A simulator that sells this many sessions in so many days."""
    command = [
        sys.executable, "-m", "purchase_api", "serve", "--port=0", "--start=2025-12-01", "--clock=2026-03-01T00:00:00",
        f"--sessions-per-day={sessions // days}", f"--users={max(100, sessions // 50)}",
    ]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout
        try:
            yield json.loads(process.stdout.readline())["url"]
        finally:
            process.terminate()


def curl(url: str) -> float:
    """Seconds that `curl` takes for the month, in one request."""
    started = time.perf_counter()
    query = f"start_date={MONTH.start}&end_date={MONTH.end}"
    subprocess.run(["curl", "-sf", "-o", "/dev/null", f"{url}/sessions?{query}"], check=True)
    return time.perf_counter() - started


def extract(url: str) -> float:
    """Seconds that the extract takes for the month, into an empty lake."""
    folder = Path(tempfile.mkdtemp())
    started, used = time.perf_counter(), time.process_time()
    with PurchaseApi(url, budget=0, timeout=60) as api:
        landed = land_sessions(
            api, Landings(FolderLake(folder), Entity.SESSIONS), MONTH, MONTH.days(), max_shrink=0.2, concurrency=8
        )
    seconds, used = time.perf_counter() - started, time.process_time() - used
    print(
        f"  {landed.rows} sessions, {landed.bytes / 1e6:.0f} MB in {landed.tries} requests: {seconds:.2f} s, "
        f"{used:.2f} s of a processor"
    )
    shutil.rmtree(folder)
    return seconds


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--sessions", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--warm", action="store_true")
    options = parser.parse_args()

    def measure(run: Callable[[str], float]) -> float:
        with simulator(options.sessions) as url:
            if options.warm:
                curl(url)
            return run(url)

    pairs = [(measure(curl), measure(extract)) for _ in range(options.rounds)]
    peer, ours = (statistics.median(column) for column in zip(*pairs, strict=True))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"curl {peer:.2f} s, extract {ours:.2f} s: {ours / peer:.2f} x, peak {peak} MiB")


if __name__ == "__main__":
    main()
