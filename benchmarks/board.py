"""How long the board takes, beside `deftunes query`: the same start of Python, settings, services and warehouse.

    .venv/bin/python benchmarks/board.py [RUNS]     after `make demo`, with the services up

Prints seconds (median) and the ratio of the two commands.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

QUERY = "select currency, sum(total_sales) from deftunes_bi_views.sales_per_day_vw group by 1"


def seconds(*words: str) -> float:
    """How long a command took."""
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-m", "deftunes", *words], check=True, capture_output=True)
    return time.perf_counter() - begin


def main(runs: int) -> None:
    """Measure and print."""
    taken: dict[str, list[float]] = {"query": [], "board": []}
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "board.html"
        for _ in range(runs):  # in turns: the machine is the same for both
            taken["query"].append(seconds("query", QUERY))
            taken["board"].append(seconds("board", "--out", str(out)))
        size = out.stat().st_size
    query, board = (statistics.median(taken[name]) for name in ("query", "board"))
    print(f"query {query:.2f} s, board {board:.2f} s ({size / 1000:.0f} kB), ratio {board / query:.2f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
