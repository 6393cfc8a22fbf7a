"""Songs by dlt: its source for SQL databases with the pyarrow backend, to Parquet in a folder."""

import json
import sys
import time
from pathlib import Path

import dlt
from dlt.sources.sql_database import sql_table

if __name__ == "__main__":
    dsn, out = sys.argv[1:]
    began = time.perf_counter()
    pipeline = dlt.pipeline(
        "songs",
        pipelines_dir=str(Path(out) / "state"),
        destination=dlt.destinations.filesystem(bucket_url=f"file://{out}/lake"),
        dataset_name="deftunes",
    )
    songs = sql_table(
        dsn.replace("postgresql:", "postgresql+psycopg2:"),
        table="songs",
        schema="deftunes",
        backend="pyarrow",
        chunk_size=50_000,
    )
    pipeline.run(songs, loader_file_format="parquet", write_disposition="replace").raise_on_failed_jobs()
    print(json.dumps({"seconds": time.perf_counter() - began}))
