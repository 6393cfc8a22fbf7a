"""The dashboards in a browser and by the API: right in every currency, never mixed, and nothing a reader may not."""

import json
import re
from collections.abc import Iterator
from contextlib import closing
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg2
import pytest
import requests
import yaml
from coloraide import Color

from support.board import BOARD, Board, Look, build_browser
from support.bundle import FOLDER, assets_of
from support.containers import Airflow, Platform

CURRENCIES = ("EUR", "GBP", "USD")
# By chart, what it must show: the names of the columns are those of the answer.
SQL = {
    "Sales": "select sum(total_sales) as sales from sales_per_country_vw {where}",
    "Items sold": "select sum(items) as items_sold from user_activity_vw {where}",
    "Sessions": "select sum(sessions) as sessions_held from sales_per_day_vw {where}",
    "Buyers": "select count(distinct user_id) as buyers from user_activity_vw {where}",
    "Liked": "select sum(liked_items) / sum(items) as liked_share from user_activity_vw {where}",
    "Sales of unknown country": "select coalesce(sum(total_sales) filter (where country_code = 'unknown'), 0)"
    " as sales_of_unknown_country from sales_per_country_vw {where}",
    "Data through": "select data_through as last_day from data_as_of_vw",
    "Last checked": "select last_check_at as last_checked,"
    " case last_check_passed when true then 'passed' when false then 'failed' else 'never' end as last_check"
    " from data_as_of_vw",
    "Sales per day": "select session_date, total_sales as sales from sales_per_day_vw {where}",
    "New and returning buyers": "select session_date, new_buyers as first_time, buyers - new_buyers as returning"
    " from sales_per_day_vw {where}",
    "Sales on the map": "select country_code as code, sum(total_sales) as m1 from sales_per_country_vw {where}"
    " and country_code <> 'unknown' group by 1",
    "Sales per country": "select country_code, sum(total_sales) as sales from sales_per_country_vw {where} group by 1",
    "Sales per artist": "select artist_name, artist_id, sum(total_sales) as sales from sales_per_artist_vw {where}"
    " group by 1, 2",
    "Decades by country": "select release_decade, country_code, sum(items) as items_sold"
    " from music_preference_vw {where} group by 1, 2",
    "Sessions of a buyer in a month": "select sessions, count(distinct user_id) as buyers from user_activity_vw {where}"
    " group by 1",
    "Records held back": "select entity, reason, records, last_rejected_at from records_held_back_vw",
    "Last run of each stage": "select stage, entity, ended_at, outcome, exit_code from last_runs_vw",
}
# Charts that show the largest only: how many, and by what.
LARGEST = {"Sales per country": (15, "sales"), "Sales per artist": (15, "sales")}
AMOUNTS = {"sales", "sales_of_unknown_country", "sessions_held", "first_time", "returning", "m1"}
TITLES = {chart["slice_name"] for chart in assets_of("charts").values()}


@pytest.fixture(scope="module")
def board(platform: Platform, airflow: Airflow) -> Board:
    build_browser()
    return Board(platform)


@pytest.fixture(scope="module")
def looks(board: Board) -> dict[str, Look]:
    return {currency: board.look(currency=currency) for currency in CURRENCIES}


@pytest.fixture(scope="module")
def warehouse(platform: Platform) -> Iterator[Any]:
    """The views, as the role that Superset asks them by."""
    host, _, port = platform.url("postgres", 5432).removeprefix("http://").partition(":")
    address = {"host": host, "port": port, "user": "bi", "password": "bi-local", "dbname": "warehouse"}
    with closing(psycopg2.connect(**address, options="-csearch_path=deftunes_bi_views")) as connection:
        yield connection.cursor()


def plain(value: Any) -> Any:
    """A value as both sides have it: numbers to the millionth, times in seconds."""
    match value:
        case datetime():
            return round(value.timestamp())
        case date():
            return round(datetime.fromisoformat(f"{value}T00:00+00:00").timestamp())
        case float() if value > 1e11:  # milliseconds
            return round(value / 1000)
        case int() | float() | Decimal():
            return round(Decimal(str(value)), 6)
    return value


def expected(warehouse: Any, title: str, where: str) -> list[dict[str, Any]]:
    warehouse.execute(SQL[title].format(where=where))
    names = [column.name for column in warehouse.description]
    return [dict(zip(names, map(plain, row), strict=True)) for row in warehouse.fetchall()]


def in_order(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(found, key=str)


@pytest.mark.parametrize("currency", CURRENCIES)
@pytest.mark.parametrize("title", SQL)
def test_a_charts_answer_is_that_of_sql(looks: dict[str, Look], warehouse: Any, title: str, currency: str) -> None:
    wanted = expected(warehouse, title, f"where currency = '{currency}'")
    shown = looks[currency].charts[title]
    if title == "Sales on the map":  # a country that Superset does not know has no code, and no place
        shown = [row for row in shown if "code" in row]
    got = [{name: plain(row[name]) for name in (wanted[0] if wanted else row)} for row in shown]

    if title in LARGEST:
        count, by = LARGEST[title]
        assert sorted(row[by] for row in got) == sorted(row[by] for row in wanted)[-count:]
        assert [row for row in got if row not in wanted] == []
    else:
        assert in_order(got) == in_order(wanted)
    if title not in {"Records held back", "Sales of unknown country"}:
        assert got


def test_every_chart_is_compared_and_drawn(looks: dict[str, Look]) -> None:
    assert set(SQL) == TITLES
    for look in looks.values():
        assert set(look.charts) == TITLES
        assert "Unexpected error" not in look.text


def test_without_a_currency_there_is_no_amount(board: Board, looks: dict[str, Look]) -> None:
    """`Clear All` empties even a required filter."""
    cleared = board.look("--clear")
    found = {name for rows in cleared.charts.values() for row in rows for name in row} & AMOUNTS
    assert found == AMOUNTS
    for rows in cleared.charts.values():
        assert {row[name] for row in rows for name in AMOUNTS & row.keys()} <= {None}
    (items,) = cleared.charts["Items sold"]
    assert items["items_sold"] == sum(look.charts["Items sold"][0]["items_sold"] for look in looks.values())


@pytest.mark.parametrize("theme", ["default", "dark"])
@pytest.mark.parametrize("width", ["1440", "390"])
def test_the_page_is_whole_quiet_and_readable(board: Board, theme: str, width: str) -> None:
    look = board.look("--theme", theme, "--width", width)

    assert set(look.charts) == TITLES
    assert (look.foreign, look.failed) == ([], [])
    assert [line for line in look.console if line.startswith("error")] == []
    assert len(look.colours) > 3
    assert [pair for pair in look.colours if contrast(pair) < (3.0 if pair["size"] >= 24 else 4.5)] == []


def contrast(pair: dict[str, Any]) -> float:
    """Of a text with what is behind it, its layers from the nearest to the one that hides all others."""
    behind = Color.layer([*pair["layers"], "#ffffff"])
    return Color.layer([pair["color"], behind]).contrast(behind, method="wcag21")


def question(dataset: str, datasets: dict[str, int], **query: Any) -> dict[str, Any]:
    """A question of the API to a dataset."""
    return {
        "datasource": {"id": datasets[dataset], "type": "table"}, "result_format": "json", "result_type": "full",
        "queries": [{"columns": [], "metrics": [], "filters": [], "row_limit": 10, **query}],
    }  # fmt: skip


@pytest.fixture(scope="module")
def datasets(board: Board) -> dict[str, int]:
    """The id of each dataset by its table."""
    found = board.ask("GET", "/api/v1/dashboard/deftunes/datasets").json()["result"]
    return {dataset["table_name"]: dataset["id"] for dataset in found}


OWN_SUM = {"expressionType": "SQL", "sqlExpression": "sum(total_sales)", "label": "own"}
SUM_OF_COLUMN = {
    "expressionType": "SIMPLE",
    "aggregate": "SUM",
    "column": {"column_name": "total_sales"},
    "label": "own",
}


@pytest.mark.parametrize(
    "query",
    [
        {"metrics": [OWN_SUM]},
        {"metrics": [SUM_OF_COLUMN]},
        {"metrics": ["sales"], "orderby": [[OWN_SUM, False]]},
        {"metrics": ["sales"], "extras": {"having": "sum(total_sales) > 1"}},
        {"metrics": ["sales"], "extras": {"where": "version() > ''"}},
        {"metrics": ["buyers"], "columns": ["user_id"]},
        {"metrics": ["buyers"], "columns": [{"expressionType": "SQL", "sqlExpression": "user_id", "label": "u"}]},
        {"metrics": ["buyers"], "filters": [{"col": "user_id", "op": "==", "val": "1"}]},
        {"columns": ["user_id", "total_sales"]},
    ],
    ids=str,
)
def test_a_reader_asks_for_what_the_dataset_defines_only(
    board: Board, datasets: dict[str, int], query: dict[str, Any]
) -> None:
    answer = board.ask("POST", "/api/v1/chart/data", json=question("user_activity_vw", datasets, **query))
    assert answer.status_code in {400, 401, 403}, answer.text[:300]
    assert "data" not in answer.json()


def test_a_readers_own_question_of_several_currencies_has_no_amount(board: Board, datasets: dict[str, int]) -> None:
    query = {"metrics": ["sales"], "columns": ["artist_name", "currency"]}
    answer = board.ask("POST", "/api/v1/chart/data", json=question("sales_per_artist_vw", datasets, **query))
    data = answer.json()["result"][0]["data"]
    assert len(data) == 10
    assert {row["sales"] for row in data} == {None}


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/database/", "/api/v1/dataset/", "/api/v1/query/", "/api/v1/security/users/", "/api/v1/log/",
        "/api/v1/assets/export/", "/api/v1/dashboard/export/?q=!(1)", "/api/v1/database/1/schemas/",
        "/api/v1/database/1/tables/?q=(schema_name:deftunes_serving)",
        "/api/v1/datasource/table/1/column/user_id/values/",
        "/datasource/external_metadata_by_name/?q=(datasource_type:table,database_name:warehouse,"
        "schema_name:deftunes_serving,table_name:dim_users)",
        "/sqllab/", "/explore/?slice_id=1", "/users/list/", "/chart/add",
    ],
)  # fmt: skip
def test_a_reader_sees_nothing_but_the_board(board: Board, path: str) -> None:
    answer = board.ask("GET", path)
    refused = answer.status_code in {401, 403, 404} or "/login" in answer.headers.get("Location", "")
    assert refused or answer.json()["count"] == 0, (answer.status_code, answer.text[:300])


def test_a_reader_changes_nothing(board: Board, datasets: dict[str, int]) -> None:
    chart = board.charts()[0]["id"]
    dataset = next(iter(datasets.values()))
    asked = [
        ("PUT", "/api/v1/dashboard/deftunes", {"dashboard_title": "mine"}),
        ("DELETE", f"/api/v1/chart/{chart}", None),
        ("PUT", f"/api/v1/chart/{chart}", {"slice_name": "mine"}),
        ("POST", "/api/v1/dashboard/", {"dashboard_title": "mine"}),
        ("PUT", f"/api/v1/dataset/{dataset}", {"sql": "select 1"}),
        ("POST", "/api/v1/database/", {"database_name": "mine", "sqlalchemy_uri": "sqlite://"}),
        ("POST", "/api/v1/sqllab/execute/", {"database_id": 1, "sql": "select 1"}),
        ("POST", "/api/v1/assets/import/", None),
    ]
    for method, path, body in asked:
        answer = board.ask(method, path, json=body)
        is_login = "/login" in answer.headers.get("Location", "")
        assert answer.status_code in {400, 401, 403, 404, 405} or is_login, (method, path, answer.status_code)
    assert {entry["slice_name"] for entry in board.charts()} == TITLES


def test_no_buyer_is_named(looks: dict[str, Look], warehouse: Any) -> None:
    warehouse.execute("select distinct user_id from user_activity_vw")
    buyers = {user for (user,) in warehouse.fetchall()}
    said = json.dumps([look.charts for look in looks.values()]) + "".join(look.text for look in looks.values())
    assert buyers
    assert not [user for user in buyers if re.search(rf"\b{re.escape(user)}\b", said)]


def test_the_root_leads_to_the_board(board: Board) -> None:
    answer = board.ask("GET", "/")
    assert (answer.status_code, answer.headers["Location"]) == (302, BOARD)


##### The tool


def assets(platform: Platform, *arguments: str, folder: Path | None = None, **environment: str) -> Any:
    """`docker compose run superset-assets ...`, with a folder of ours as /bundle."""
    options = [part for name, value in environment.items() for part in ("--env", f"{name}={value}")]
    if folder:
        folder.chmod(0o777)
        for path in folder.rglob("*"):
            path.chmod(0o777)
        options += ["--volume", f"{folder}:/bundle"]
    return platform.compose("run", "--rm", "--no-deps", "-T", *options, "superset-assets", *arguments, check=False)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A copy of the bundle that tests may spoil."""
    for path in FOLDER.rglob("*.yaml"):
        copy = tmp_path / path.relative_to(FOLDER)
        copy.parent.mkdir(exist_ok=True)
        copy.write_bytes(path.read_bytes())
    return tmp_path


def state_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.yaml")}


def test_importing_again_changes_nothing_and_exporting_writes_nothing(board: Board, bundle: Path) -> None:
    again = assets(board.platform, "import", "/bundle", folder=bundle)
    assert (again.returncode, again.stdout) == (0, "27 assets, 0 changed\n"), again.stderr
    exported = assets(board.platform, "export", "/bundle", folder=bundle)
    assert (exported.returncode, exported.stdout) == (0, ""), exported.stderr
    assert state_of(bundle) == state_of(FOLDER)


def test_a_bad_bundle_is_refused_by_a_line_per_fault(board: Board, bundle: Path) -> None:
    """One that this side finds, then one that only Superset's schema does."""
    sales = bundle / "charts" / "sales.yaml"
    sales.write_text(sales.read_text("utf-8").replace("metric: sales", "metric: turnover"), "utf-8")
    ended = assets(board.platform, "import", "/bundle", folder=bundle)
    assert ended.returncode == 1
    faults = [line for line in ended.stderr.splitlines() if line.startswith("error: ")]
    assert faults == ["error: charts/sales.yaml: metric: 'turnover' is no column or metric of sales_per_day_vw"]

    chart = yaml.safe_load((FOLDER / "charts" / "sales.yaml").read_text("utf-8"))
    sales.write_text(yaml.safe_dump({**chart, "slice_nam": "x"}), "utf-8")
    ended = assets(board.platform, "import", "/bundle", folder=bundle)
    assert ended.returncode == 1
    (fault,) = [line for line in ended.stderr.splitlines() if line.startswith("error: ")]
    assert "charts/sales.yaml" in fault
    assert "slice_nam" in fault
    assert {entry["slice_name"] for entry in board.charts()} == TITLES


def test_what_is_edited_in_the_browser_comes_back_as_a_small_diff(board: Board, bundle: Path) -> None:
    editing = {"SUPERSET_EDITABLE": "true", "SUPERSET_ADMIN_PASSWORD": "edit-me"}
    try:
        assert assets(board.platform, "import", "/bundle", folder=bundle, **editing).returncode == 0
        session = log_in(board, "admin", editing["SUPERSET_ADMIN_PASSWORD"])
        (dashboard,) = board.ask("GET", "/api/v1/dashboard/", session).json()["result"]
        edited = board.ask(
            "PUT", f"/api/v1/dashboard/{dashboard['id']}", session, json={"dashboard_title": "Our sales"}
        )
        assert edited.status_code == 200, edited.text
        exported = assets(board.platform, "export", "/bundle", folder=bundle)
        assert exported.stdout == "written /bundle/dashboards/deftunes.yaml\n"
        before, after = (state_of(folder)["dashboards/deftunes.yaml"].splitlines() for folder in (FOLDER, bundle))
        assert len(before) == len(after)
        changed = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
        assert changed == [(b"dashboard_title: DeFtunes sales", b"dashboard_title: Our sales")]
    finally:
        back = assets(board.platform, "import", "/opt/deftunes/superset/bundle")
    assert back.returncode == 0
    assert back.stdout.endswith("27 assets, 1 changed\n")


def log_in(board: Board, user: str, password: str) -> requests.Session:
    """A session that may write."""
    session = requests.Session()
    body = {"username": user, "password": password, "provider": "db", "refresh": False}
    token = board.ask("POST", "/api/v1/security/login", session, json=body).json()["access_token"]
    session.headers["Authorization"] = f"Bearer {token}"
    session.headers["X-CSRFToken"] = board.ask("GET", "/api/v1/security/csrf_token/", session).json()["result"]
    return session
