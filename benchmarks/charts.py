"""How long the charts of Superset's dashboard take over millions of facts, beside their own SQL by psycopg2.

    .venv/bin/python benchmarks/charts.py [--facts 10000000] [--rounds 7] [--keep]     after `make images`

Starts PostgreSQL and Superset of compose.yaml as a compose project of its own, on free ports of 127.0.0.1, with their
limits of memory; PostgreSQL has more while it builds. Sells `facts` items (charts_warehouse.py: half an hour for ten
million, 20 GB of disk) and has `model` build gold, then one day more. Imports this checkout's dashboards, and asks each
chart as a browser does that wants no kept answer, in each currency, of all years and of one; then all charts, six at
once, as a browser opens the board. Prints seconds of each dbt model, and of each chart the median, the 95th percentile,
the median of the SQL behind it, and the ratio of the two medians. `--keep` leaves the project running, and the next run
asks what it finds.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import product
from pathlib import Path
from typing import Any

import requests
from charts_warehouse import FIRST_DAY, Shop, build, cursor_of, fill, sell_another_day

from deftunes.adapters.warehouse_drivers import open_warehouse
from deftunes.core.interval import Interval
from deftunes.core.settings import REPOSITORY

PROJECT = "deftunes-charts"
CURRENCIES = ("USD", "EUR", "GBP")
# As many connections as a browser opens to one host.
AT_ONCE = 6
BUILDING = "3g"
# Charts of these are the same in each currency and year.
_WITHOUT_FILTERS = ("data_as_of_vw", "records_held_back_vw", "last_runs_vw")

Json = dict[str, Any]


@dataclass
class Taken:
    """What the answers of a chart took, in seconds."""

    chart: list[float] = field(default_factory=list)
    sql: list[float] = field(default_factory=list)
    rows: int = 0


def compose(*words: str) -> str:
    """`docker compose` on the project; what it prints."""
    environment = {**os.environ, "POSTGRES_PORT": "0", "SUPERSET_PORT": "0"}
    command = ["docker", "compose", "--project-name", PROJECT, "--env-file", "/dev/null", *words]
    done = subprocess.run(command, cwd=REPOSITORY, env=environment, check=False, text=True, capture_output=True)
    if done.returncode:
        raise RuntimeError(f"docker compose {' '.join(words)}: {done.stderr[-3000:]}")
    return done.stdout


def dsn(user: str) -> str:
    """The warehouse, as a role of compose/databases.py with its password there."""
    host, _, port = compose("port", "postgres", "5432").strip().rpartition(":")
    return f"postgresql://{user}:{user}-local@{host}:{port}/warehouse"


@contextmanager
def room_to_build() -> Iterator[None]:
    """More memory for PostgreSQL while it builds: over ten million facts the kernel kills it within 384 MB."""
    container = compose("ps", "--quiet", "postgres").strip()
    inspect = ["docker", "inspect", "--format", "{{.HostConfig.Memory}}", container]
    limit = subprocess.run(inspect, check=True, text=True, capture_output=True).stdout.strip()
    update = ["docker", "update", container]
    subprocess.run([*update, "--memory", BUILDING, "--memory-swap", BUILDING], check=True, capture_output=True)
    yield
    subprocess.run([*update, "--memory", limit, "--memory-swap", limit], check=True, capture_output=True)


def prepare(shop: Shop) -> None:
    """Fill, build, build a day more; says what each took."""
    address = dsn("warehouse")
    warehouse = open_warehouse(address)
    began = time.perf_counter()
    fill(address, warehouse, shop)
    print(f"{shop}\nfilled in {time.perf_counter() - began:.0f} s, load average {os.getloadavg()[0]:.1f}", flush=True)
    with tempfile.TemporaryDirectory() as work:
        first = build(warehouse, Interval(FIRST_DAY, FIRST_DAY + timedelta(days=1)), Path(work))
        daily = build(warehouse, sell_another_day(address, shop), Path(work))
    print(f"\n{'seconds of dbt':26} {'all':>8} {'one day':>8}    load average {os.getloadavg()[0]:.1f}")
    for name, seconds in daily.items():
        print(f"{name:26} {first[name]:8.1f} {seconds:8.1f}")
    sys.stdout.flush()


def import_bundle() -> None:
    """The dashboards of this checkout, which may be newer than the image."""
    bundle = REPOSITORY / "superset" / "bundle"
    compose(
        "run", "--rm", "--no-deps", "-T", "--volume", f"{bundle}:/bundle:ro", "superset-assets", "import", "/bundle"
    )


def axis(form: Json) -> Json:
    """The axis of a chart as the browser asks for it."""
    term = {"columnType": "BASE_AXIS", "sqlExpression": form["x_axis"], "label": form["x_axis"]}
    grain = {"timeGrain": form["time_grain_sqla"]} if "time_grain_sqla" in form else {}
    return {**grain, **term, "expressionType": "SQL", "isColumnReference": True}


def _tile(form: Json) -> list[Json]:
    return [{"columns": [], "metrics": [form["metric"]]}]


def _bars(form: Json) -> list[Json]:
    metrics = form["metrics"]
    aggregates = {metric: {"operator": "mean"} for metric in metrics}
    pivot = {"index": [form["x_axis"]], "columns": [], "aggregates": aggregates, "drop_missing_columns": False}
    steps: list[Json] = [{"operation": "pivot", "options": pivot}, {"operation": "flatten"}]
    ordered = {"orderby": [[metrics[0], False]], "row_limit": form["row_limit"], "post_processing": steps}
    return [{"columns": [axis(form)], "metrics": metrics, **ordered}]


def _heat_map(form: Json) -> list[Json]:
    columns = [axis(form), form["groupby"]]
    rank = {"operation": "rank", "options": {"metric": form["metric"], "group_by": form["groupby"]}}
    orders = [[form["x_axis"], True], [form["groupby"], False]]
    ordered = {"orderby": orders, "row_limit": form["row_limit"], "post_processing": [rank]}
    return [{"columns": columns, "metrics": [form["metric"]], **ordered}]


def _table(form: Json) -> list[Json]:
    if form["query_mode"] == "raw":
        orders = [json.loads(term) for term in form["order_by_cols"]]
        return [{"columns": form["all_columns"], "orderby": orders, "row_limit": form["row_limit"]}]
    query = {
        "columns": form.get("groupby", []), "metrics": form["metrics"], "orderby": [[form["metrics"][0], False]]
    }  # fmt: skip
    if not form["server_pagination"]:
        return [{**query, "row_limit": form["row_limit"]}]
    # A page, and how many rows there are.
    page = {**query, "row_limit": form["server_page_length"], "row_offset": 0}
    return [page, {**query, "row_limit": form["row_limit"], "is_rowcount": True}]


_QUERIES: dict[str, Callable[[Json], list[Json]]] = {
    "big_number_total": _tile, "echarts_timeseries_bar": _bars, "heatmap_v2": _heat_map, "table": _table
}  # fmt: skip


@dataclass(frozen=True)
class Board:
    """The dashboard, as a visitor asks it."""

    url: str

    def charts(self) -> dict[str, Json]:
        """By title, the form of each chart, with the table that it asks."""
        found = self._ask("GET", "/api/v1/dashboard/deftunes/charts")["result"]
        datasets = self._ask("GET", "/api/v1/dashboard/deftunes/datasets")["result"]
        tables = {f"{dataset['id']}__table": dataset["table_name"] for dataset in datasets}
        return {
            chart["slice_name"]: {**chart["form_data"], "table": tables[chart["form_data"]["datasource"]]}
            for chart in found
        }

    def answer(self, form: Json, currency: str, years: list[int]) -> list[Json]:
        """The results of a chart's queries, each with its `data` and its `query`; no year: all of them."""
        wanted = {} if form["table"] in _WITHOUT_FILTERS else {"currency": [currency], "session_year": years}
        chosen = [{"col": column, "op": "IN", "val": values} for column, values in wanted.items() if values]
        if form["viz_type"] == "world_map":  # one of the old kind sends its form instead of a question
            sent = json.dumps({**form, "extra_form_data": {"filters": chosen}})
            return [self._ask("POST", "/superset/explore_json/?force=true", data={"form_data": sent})]
        identity, _, kind = form["datasource"].partition("__")
        queries = [{**query, "filters": chosen} for query in _QUERIES[form["viz_type"]](form)]
        body = {
            "datasource": {"id": int(identity), "type": kind}, "force": True, "queries": queries,
            "result_format": "json", "result_type": "full",
        }  # fmt: skip
        results: list[Json] = self._ask("POST", "/api/v1/chart/data", json=body)["result"]
        return results

    def _ask(self, method: str, path: str, **given: Any) -> Json:
        answer = requests.request(method, f"{self.url}{path}", timeout=120, **given)
        if not answer.ok:
            raise RuntimeError(f"{method} {path}: {answer.status_code} {answer.text[:1000]}")
        result: Json = answer.json()
        return result


def timed(ask: Callable[..., Any], *given: Any) -> tuple[float, Any]:
    """Seconds, and what came."""
    began = time.perf_counter()
    got = ask(*given)
    return time.perf_counter() - began, got


def measure(board: Board, rounds: int, years: list[int]) -> dict[str, Taken]:
    """Ask each chart alone, and right after it PostgreSQL by the SQL that it named."""
    charts = board.charts()
    taken = {title: Taken() for title in charts}
    with cursor_of(dsn("bi")) as cursor:

        def run(results: list[Json]) -> None:
            for result in results:
                cursor.execute(result["query"])
                cursor.fetchall()

        for currency, (title, form) in product(CURRENCIES * rounds, charts.items()):
            seconds, results = timed(board.answer, form, currency, years)
            taken[title].chart.append(seconds)
            taken[title].sql.append(timed(run, results)[0])
            taken[title].rows = max(taken[title].rows, len(results[0]["data"]))
    return taken


def open_whole(board: Board, rounds: int) -> tuple[list[float], list[float]]:
    """Seconds until a whole board is answered, and those of the slowest chart of each."""
    wholes, slowest = [], []
    charts = board.charts().values()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for currency in CURRENCIES * rounds:
            began = time.perf_counter()
            answers = [pool.submit(timed, board.answer, form, currency, []) for form in charts]
            slowest.append(max(answer.result()[0] for answer in answers))
            wholes.append(time.perf_counter() - began)
    return wholes, slowest


def p95(values: list[float]) -> float:
    """The 95th percentile."""
    return statistics.quantiles(values, n=20, method="inclusive")[-1]


def report(taken: dict[str, Taken], years: list[int]) -> None:
    """A line per chart, the slowest first."""
    head = f"chart, {' '.join(map(str, years)) or 'all years'}"
    print(f"\n{head:32} {'rows':>6} {'median':>7} {'p95':>7} {'SQL':>7} {'ratio':>6}")
    for title, one in sorted(taken.items(), key=lambda item: -p95(item[1].chart)):
        chart, sql = statistics.median(one.chart), statistics.median(one.sql)
        print(f"{title:32} {one.rows:6} {chart:7.3f} {p95(one.chart):7.3f} {sql:7.3f} {chart / sql:6.1f}")


def main() -> None:
    """Prepare, measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--facts", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--keep", action="store_true", help="leave it running")
    options = parser.parse_args()
    is_new = not compose("ps", "--quiet", "superset").strip()
    try:
        compose("up", "--detach", "--wait", "--no-build", "superset")
        if is_new:
            with room_to_build():
                prepare(Shop(options.facts))
        import_bundle()
        board = Board("http://" + compose("port", "superset", "8088").strip())
        measure(board, 1, [])  # Superset imports what a first answer needs
        for years in ([], [FIRST_DAY.year + 1]):
            report(measure(board, options.rounds, years), years)
        wholes, slowest = open_whole(board, options.rounds)
    finally:
        if not options.keep:
            compose("down", "--volumes")
    print(
        f"\nwhole board, {AT_ONCE} charts at once: median {statistics.median(wholes):.2f} s, p95 {p95(wholes):.2f} s; "
        f"its slowest chart: p95 {p95(slowest):.2f} s; load average {os.getloadavg()[0]:.1f}"
    )


if __name__ == "__main__":
    main()
