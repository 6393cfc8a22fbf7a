"""All benchmarks that compare, by one command: `make benchmark`, or some of them by name.

    python benchmarks/suite.py [extract_songs] [extract_sessions] [--rounds 3] [--songs 2000000] [--sessions 50000]

Each is a module with `add_options` and `run`; a new one is added to BENCHMARKS.
"""

import argparse

import day
import engines
import extract_sessions
import extract_songs
import growth
from contest import machine

BENCHMARKS = {module.__name__: module for module in (extract_songs, extract_sessions, engines, day, growth)}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)}; none: all")
    parser.add_argument("--rounds", type=int, default=3)
    for module in BENCHMARKS.values():
        module.add_options(parser)
    options = parser.parse_args()
    unknown = [name for name in options.names if name not in BENCHMARKS]
    if unknown:
        parser.error(f"expected names of {', '.join(BENCHMARKS)}, got {', '.join(unknown)}")
    print(machine(), flush=True)
    for name in options.names or BENCHMARKS:
        for table in BENCHMARKS[name].run(options):
            print(table, flush=True)
    print(f"\n{machine()}")


if __name__ == "__main__":
    main()
