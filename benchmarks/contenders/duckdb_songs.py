"""Songs by DuckDB: its scanner of PostgreSQL, from the package registry, and one COPY to Parquet."""

import json
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import duckdb

if __name__ == "__main__":
    dsn, out = sys.argv[1:]
    package = find_spec("duckdb_extension_postgres_scanner")
    assert package
    assert package.origin
    (extension,) = Path(package.origin).parent.rglob("*.duckdb_extension")
    began = time.perf_counter()
    with duckdb.connect() as connection:
        connection.execute(f"load '{extension}'")
        connection.execute(f"attach '{dsn}' as source (type postgres, read_only)")
        connection.execute(f"copy (from source.deftunes.songs) to '{out}/songs.parquet' (compression zstd)")
    print(json.dumps({"seconds": time.perf_counter() - began}))
