"""The command line: 0 when done, 1 with a line per fault when files are refused, 2 for bad usage."""

import argparse
import sys
from pathlib import Path

from assets.faults import faults_of
from assets.files import REFUSED, texts_in


def main() -> int:
    """Import or export a folder; says what changed, or what is wrong."""
    parser = argparse.ArgumentParser(prog="assets", description="Superset's dashboards from files, and back.")
    parser.add_argument("verb", choices=["import", "export"])
    parser.add_argument("folder", type=Path, help="databases, datasets, charts and dashboards as YAML")
    given = parser.parse_args()
    texts, unreadable = texts_in(given.folder)
    if not texts and not unreadable:
        parser.error(f"expected a folder with .yaml files, found none in {given.folder}")
    if faults := [*unreadable, *faults_of(texts)]:
        return _refuse(faults)
    # Superset takes seconds to import: a fault in a file is said before.
    from assets.exporting import export_to
    from assets.importing import RefusedError, import_from
    from assets.server import superset

    with superset(prepare=given.verb == "import"):
        try:
            lines = import_from(texts) if given.verb == "import" else export_to(given.folder)
        except RefusedError as error:
            return _refuse(error.faults)
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    return 0


def _refuse(faults: list[str]) -> int:
    sys.stderr.write("".join(f"error: {' '.join(fault.split())}\n" for fault in faults))
    return REFUSED


if __name__ == "__main__":
    sys.exit(main())
