"""Songs by sling: its program, from the package registry, to CSV in a folder.

For Parquet it fetches a program of DuckDB from another place, which is not to be had without the internet.
"""

import os
import sys
from importlib.util import find_spec
from pathlib import Path

if __name__ == "__main__":
    dsn, out = sys.argv[1:]
    package = find_spec("sling_linux_amd64")
    assert package
    assert package.origin
    program = Path(package.origin).parent / "bin" / "sling-linux-amd64"
    program.chmod(0o755)
    source = dsn if "?" in dsn else f"{dsn}?sslmode=disable"
    words = [
        str(program), "run", "--src-conn", source, "--src-stream", "deftunes.songs",
        "--tgt-object", f"file://{out}/songs.csv",
    ]  # fmt: skip
    os.execve(program, words, {**os.environ, "SLING_HOME_DIR": f"{out}/home", "SLING_DISABLE_TELEMETRY": "true"})
