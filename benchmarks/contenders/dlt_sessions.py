"""Sessions by dlt: a resource that asks day by day with its own client, which retries, to JSON Lines in a folder."""

import json
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import dlt
from dlt.sources.helpers import requests
from month import END, START


@dlt.resource(name="sessions", max_table_nesting=0, write_disposition="replace")
def sessions(url: str) -> Iterator[object]:
    """The sessions of each day."""
    for number in range((END - START).days):
        day = START + timedelta(days=number)
        yield requests.get(f"{url}/sessions", params={"start_date": f"{day}", "end_date": f"{day}"}).json()


if __name__ == "__main__":
    url, out = sys.argv[1:]
    began = time.perf_counter()
    pipeline = dlt.pipeline(
        "sessions",
        pipelines_dir=str(Path(out) / "state"),
        destination=dlt.destinations.filesystem(bucket_url=f"file://{out}/lake"),
        dataset_name="deftunes",
    )
    pipeline.run(sessions(url), loader_file_format="jsonl").raise_on_failed_jobs()
    print(json.dumps({"seconds": time.perf_counter() - began}))
