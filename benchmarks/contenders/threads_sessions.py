"""Sessions by requests in eight threads, a request a day, retried: what one writes in an afternoon.

It takes the API at its word that `end_date` is the last day, and writes what came.
"""

import gzip
import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from pathlib import Path

import requests
from month import END, START
from requests.adapters import HTTPAdapter
from urllib3.util import Retry


def fetch(url: str, out: Path, day: date) -> None:
    """Write the sessions of a day."""
    retry = Retry(total=10, backoff_factor=0.5, status_forcelist=(429, 503))
    with requests.Session() as session:
        session.mount("http://", HTTPAdapter(max_retries=retry))
        for _ in range(10):  # what breaks off in the body, urllib3 does not ask for again
            try:
                answer = session.get(
                    f"{url}/sessions", params={"start_date": f"{day}", "end_date": f"{day}"}, timeout=60
                )
                answer.raise_for_status()
                records = answer.json()
                break
            except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError, requests.JSONDecodeError):
                time.sleep(0.5)
        else:
            raise SystemExit(f"{day}: no answer")
    with gzip.open(out / f"{day}.jsonl.gz", "wt", compresslevel=1) as file:
        for record in records:
            file.write(json.dumps(record) + "\n")


if __name__ == "__main__":
    began = time.perf_counter()
    days = [START + timedelta(days=number) for number in range((END - START).days)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda day: fetch(sys.argv[1], Path(sys.argv[2]), day), days))
    print(json.dumps({"seconds": time.perf_counter() - began}))
