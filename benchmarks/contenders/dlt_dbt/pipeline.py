"""Users and sessions by dlt and dbt: the API -> Iceberg tables in a folder -> PostgreSQL -> a star by dbt.

    python pipeline.py URL FOLDER POSTGRES_URL START END(exclusive)

Prints a line of JSON when the Iceberg tables are committed (`publish`) and when the star is built (`model`).
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import dlt
from dlt.common.libs.pyiceberg import get_iceberg_tables
from dlt.sources.helpers import requests

HERE = Path(__file__).parent


# Location stays JSON, which dbt takes apart.
@dlt.resource(table_format="iceberg", write_disposition="replace", max_table_nesting=0)
def users(url: str) -> Iterator[object]:
    """All users."""
    yield requests.get(f"{url}/users").json()


# Whole prices come as integers: dlt would make two columns of them.
@dlt.resource(
    table_format="iceberg",
    write_disposition="append",
    columns={"session_start_time": {"data_type": "text"}},
    nested_hints={
        "session_items": {
            "columns": {
                "price": {"name": "price", "data_type": "decimal"},
                "liked_since": {"name": "liked_since", "data_type": "text"},
            }
        }
    },
)
def sessions(url: str, start: date, end: date) -> Iterator[object]:
    """The sessions of each day."""
    for number in range((end - start).days):
        day = start + timedelta(days=number)
        yield requests.get(f"{url}/sessions", params={"start_date": f"{day}", "end_date": f"{day}"}).json()


def main(url: str, folder: Path, postgres: str, start: date, end: date) -> None:
    """Load the lake, copy it to PostgreSQL, build the star."""
    state = str(folder / "state")
    lake = dlt.pipeline(
        "lake",
        pipelines_dir=state,
        destination=dlt.destinations.filesystem(bucket_url=f"file://{folder}/lake"),
        dataset_name="deftunes",
    )
    lake.run([users(url), sessions(url, start, end)]).raise_on_failed_jobs()
    print(json.dumps({"stage": "publish"}), flush=True)
    warehouse = dlt.pipeline(
        "warehouse", pipelines_dir=state, destination=dlt.destinations.postgres(postgres), dataset_name="raw"
    )
    warehouse.run(
        [
            dlt.resource(table.scan().to_arrow(), name=name, write_disposition="replace")
            for name, table in get_iceberg_tables(lake, "users", "sessions", "sessions__session_items").items()
        ]
    ).raise_on_failed_jobs()
    build(postgres, folder)
    print(json.dumps({"stage": "model"}), flush=True)


def build(postgres: str, folder: Path) -> None:
    """`dbt build`, its tests included."""
    address = urlsplit(postgres)
    variables = {
        "PEER_HOST": address.hostname,
        "PEER_PORT": str(address.port),
        "PEER_DATABASE": address.path.strip("/"),
        "PEER_USER": address.username,
        "PEER_PASSWORD": address.password,
    }
    subprocess.run(
        [
            Path(sys.executable).with_name("dbt"), "build", "--project-dir", HERE, "--profiles-dir", HERE,
            "--target-path", folder / "target", "--log-path", folder / "logs",
        ],
        env={**os.environ, **{name: value or "" for name, value in variables.items()}},
        stdout=sys.stderr,
        check=True,
    )  # fmt: skip


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3], *map(date.fromisoformat, sys.argv[4:]))
