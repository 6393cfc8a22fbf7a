"""The board as a file: its figures are the warehouse's, one currency at a time, and it needs nothing else."""

import html
import re
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from markupsafe import escape

from deftunes.adapters.svg import Pen
from deftunes.adapters.warehouse import Warehouse
from deftunes.adapters.warehouse_drivers import open_warehouse
from deftunes.board.definition import Board, Chart, read_board
from deftunes.board.drawing import DRAWINGS
from deftunes.board.notation import NOTHING, Notation
from deftunes.board.page import build_page
from deftunes.core.errors import BadUsageError, DeftunesError
from deftunes.core.settings import REPOSITORY
from support.cluster import Cluster
from support.ids import artist_id
from support.silver import T0, session_item, song_row, user_version
from support.warehouse import WarehousePipeline, new_warehouse_pipeline

if TYPE_CHECKING:
    from support.stack import Stack

DAY = timedelta(days=1)
BUNDLE = REPOSITORY / "superset" / "bundle"
ODD = "X'\"<b>&\\"  # a currency is whatever a source calls it
SCRIPT = "<script>alert('&amp;')</script>"
VIEWS = "deftunes_bi_views"
ONE = "sum({})"

# What each chart shows in one currency, asked without its definition: columns in the order of the chart.
EXPECTED = {
    "sales": "select sum(total_sales) from {v}.sales_per_country_vw where currency = {c}",
    "items": "select sum(items) from {v}.user_activity_vw where currency = {c}",
    "sessions": "select sum(sessions) from {v}.user_activity_vw where currency = {c}",
    "buyers": "select count(distinct user_id) from {v}.user_activity_vw where currency = {c}",
    "liked": "select sum(liked_items)::float8 / sum(items) from {v}.user_activity_vw where currency = {c}",
    "sales_of_unknown_country":
        "select sum(total_sales) filter (where country_code = 'unknown') from {v}.sales_per_country_vw "
        "where currency = {c}",
    "data_through": "select max(session_date) from deftunes_serving.fact_session",
    "last_checked":
        "select case sum(exit_code) when 0 then 'passed' else 'failed' end, max(ended_at) from (select distinct on "
        "(entity) * from deftunes_control.runs where stage = 'check' order by entity, ended_at desc) as newest",
    "sales_per_day":
        "select session_date, sum(price) from deftunes_serving.fact_session where currency = {c} group by 1 order by 1",
    "buyers_per_day":
        "select session_date, count(distinct user_id) filter (where first = session_date), "
        "count(distinct user_id) - count(distinct user_id) filter (where first = session_date) "
        "from (select *, min(session_date) over (partition by user_id) as first from deftunes_serving.fact_session) "
        "as sales where currency = {c} "
        "group by 1 order by 1",
    "sales_on_the_map":
        "select country_code, sum(total_sales) from {v}.sales_per_country_vw where currency = {c} "
        "and country_code <> 'unknown' group by 1 order by 2 desc, 1",
    "sales_per_country":
        "select country_code, sum(total_sales) from {v}.sales_per_country_vw where currency = {c} group by 1 "
        "order by 2 desc, 1 limit 15",
    "sales_per_artist":
        "select artist_name, artist_id, sum(total_sales) from {v}.sales_per_artist_vw where currency = {c} "
        "group by 1, 2 order by 3 desc, 1",
    "music_preference":
        "select release_decade, country_code, sum(items) from {v}.music_preference_vw where currency = {c} "
        "group by 1, 2 order by 2, 1",
    "user_activity":
        "select sessions, count(*) from {v}.user_activity_vw where currency = {c} group by 1 order by 1",
    "records_held_back":
        "select entity, reason, records, last_rejected_at from {v}.records_held_back_vw order by 3 desc, 1, 2",
    "last_runs":
        "select stage, entity, ended_at, outcome, exit_code from {v}.last_runs_vw order by 5 desc, 3 desc, 1, 2",
}  # fmt: skip


@pytest.fixture(scope="module")
def pen() -> Iterator[Pen]:
    with Pen() as pen:
        yield pen


@pytest.fixture(scope="module")
def board() -> Board:
    return read_board(BUNDLE)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster() as cluster:
        yield cluster


@pytest.fixture(scope="module")
def sold(stack: "Stack", cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> WarehousePipeline:
    """Ten days of sales in three currencies; some buyers and tracks are unknown."""
    cluster.sql("create database sold")
    pipeline = new_warehouse_pipeline(stack, tmp_path_factory.mktemp("dbt"), dsn=cluster.dsn("sold"))
    names = {1: SCRIPT, 2: "Ça va \u2013 中"}
    pipeline.silver.upsert_songs([song_row(n, artist_name=names.get(n, f"Artist {n}")) for n in range(6)])
    pipeline.silver.replace_user_versions([user_version(n) for n in range(8)], at=T0)
    days = {}
    for day in range(10):
        days[T0.date() + day * DAY] = [
            session_item(
                day * 100 + session, item, at=T0 + day * DAY, buyer=(day + session) % 11,
                track=(session * 3 + item) % 7, price=Decimal(session * 37 + item * 11 + day) / 100,
                currency=("USD", "EUR", ODD)[session % 3], liked=(session + item) % 3 == 0,
            )
            for session in range(9)
            for item in range(1, 4)
        ]  # fmt: skip
    pipeline.silver.replace_days(days)
    pipeline.load()
    pipeline.model(T0.date(), T0.date() + 10 * DAY)
    checked(cluster, "sessions", 0)
    return pipeline


def checked(cluster: Cluster, entity: str, exit_code: int) -> None:
    """A check of an entity, as `deftunes check` records it."""
    cluster.sql(
        f"insert into deftunes_control.runs values ('{entity}-{exit_code}', 'check', '{entity}', now(), now(), "
        f"'done', {exit_code}, 'r')",
        "sold",
    )


def panels(page: str) -> list[str]:
    """The part of each currency."""
    return re.split(r'<div class="panel panel-\d+">', page)[1:]


def cells(panel: str, chart: Chart) -> list[list[str]]:
    """What stands under a chart's title: the one figure of a tile, or the lines of its table."""
    begin = panel.index(f"<h2>{html.escape(chart.title)}</h2>")
    part = panel[begin : panel.index("</section>", begin)]
    if "<strong>" in part:
        return [[html.unescape(part[part.index("<strong>") + 8 : part.index("</strong>")])]]
    body = part[part.index("<tbody>") : part.index("</tbody>")]
    lines = re.findall(r"<tr[^>]*>(.*?)</tr>", body, re.DOTALL)
    return [[html.unescape(cell) for cell in re.findall(r"<td[^>]*>(.*?)</td>", line, re.DOTALL)] for line in lines]


def test_every_chart_shows_what_the_warehouse_holds_in_every_currency(
    sold: WarehousePipeline, board: Board, pen: Pen
) -> None:
    page = build_page(sold.warehouse, board, pen)
    assert set(page.currencies) == {"USD", "EUR", ODD}
    assert page.currencies[0] == board.currency == "USD"
    assert {chart.name for chart in board.charts} == set(EXPECTED)
    compared = 0
    for currency, panel in zip(page.currencies, panels(page.html), strict=True):
        literal = "'" + currency.replace("'", "''") + "'"
        for chart in board.charts:
            rows = sold.warehouse.query(EXPECTED[chart.name].format(v=VIEWS, c=literal)).rows
            form = Notation(currency)
            expected = [
                [form.value(value, field) for value, field in zip(row, chart.fields, strict=True)] for row in rows
            ]
            assert cells(panel, chart) == expected, f"{chart.name} in {currency}"
            compared += sum(cell != NOTHING for row in expected for cell in row)
    assert compared > 300


def test_no_amount_of_another_currency_is_in_a_panel(sold: WarehousePipeline, board: Board, pen: Pen) -> None:
    page = build_page(sold.warehouse, board, pen)
    totals = dict(
        sold.warehouse.query("select currency, sum(price) from deftunes_serving.fact_session group by 1").rows
    )
    sales = next(chart for chart in board.charts if chart.name == "sales")
    every_amount = sum(totals.values())
    for currency, panel in zip(page.currencies, panels(page.html), strict=True):
        ((shown,),) = cells(panel, sales)
        assert Decimal(re.sub(r"[^0-9.]", "", shown.rpartition(" ")[2].lstrip("X"))) == totals[currency]
        assert f"{every_amount:,.2f}" not in panel


def test_the_page_asks_nobody_and_runs_nothing_of_a_source(sold: WarehousePipeline, board: Board, pen: Pen) -> None:
    page = build_page(sold.warehouse, board, pen).html
    assert not re.findall(r"(?:src|href|action|data)=[\"'](?!#|data:,)[^\"']", page)
    assert "@import" not in page
    assert "url(" not in page
    assert set(re.findall(r"https?://[^\s\"'<]+", page)) <= {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }
    assert page.count("<script>") == 1
    assert str(escape(SCRIPT)) in page
    assert "<b>&" not in page


def test_another_currency_first_and_one_without_a_sale(sold: WarehousePipeline, board: Board, pen: Pen) -> None:
    assert build_page(sold.warehouse, board, pen, "EUR").currencies[0] == "EUR"
    with pytest.raises(BadUsageError, match=r"in which something was sold \(.*USD.*\), got 'XXX'"):
        build_page(sold.warehouse, board, pen, "XXX")


def test_an_empty_warehouse_has_a_board(
    stack: "Stack", cluster: Cluster, tmp_path: Path, board: Board, pen: Pen
) -> None:
    cluster.sql("create database empty")
    pipeline = new_warehouse_pipeline(stack, tmp_path, dsn=cluster.dsn("empty"))
    pipeline.load()
    pipeline.model(T0.date(), T0.date() + DAY)
    page = build_page(pipeline.warehouse, board, pen)
    assert page.currencies == ()
    (panel,) = panels(page.html)
    assert all(
        cell == NOTHING
        for chart in board.charts
        for row in cells(panel, chart)
        for cell in row
        if chart.kind.endswith("total")
    )


def test_a_warehouse_without_views_is_named(cluster: Cluster, board: Board, pen: Pen) -> None:
    with pytest.raises(DeftunesError, match="sales_per_day_vw"):
        build_page(open_warehouse(cluster.dsn()), board, pen)


LARGE = """
create schema {views};
set search_path = {views};
create table currencies as select 'C' || n as currency from generate_series(0, 39) n;
create table countries as select chr(65 + n / 26) || chr(65 + n % 26) as country_code from generate_series(0, 249) n;
create table sales_per_day_vw as
select date '2018-01-01' + n as session_date, currency, 12.34 as total_sales, 5::bigint as items,
1::bigint as liked_items, 3::bigint as sessions, 3::bigint as buyers, 1::bigint as new_buyers
from currencies, generate_series(0, 3000) n;
create table sales_per_country_vw as
select 1 as session_month, 2020 as session_year, country_code, currency, 12345678.90 as total_sales
from currencies, countries;
create table sales_per_artist_vw as
select 2020 as session_year, 'AR' || n as artist_id, repeat('Ü🎵', 4000) as artist_name, currency,
n + 0.5 as total_sales from currencies, generate_series(1, 5000) n;
create table user_activity_vw as
select 1 as session_month, 2020 as session_year, 'u' || n as user_id, currency, n::bigint as sessions,
9::bigint as items, 1::bigint as liked_items, 9.5 as total_sales from currencies, generate_series(1, 1000) n;
create table music_preference_vw as
select 2020 as session_year, country_code, (1900 + n * 10) || 's' as release_decade, currency, 123456::bigint as items,
1::bigint as liked_items, 9.5 as total_sales from currencies, countries, generate_series(0, 12) n;
create table data_as_of_vw as
select date '2026-01-01' as data_through, 1::bigint as items, 1::bigint as sessions, now() as last_load_at,
now() as last_check_at, true as last_check_passed;
create table records_held_back_vw as
select 'songs' as entity, 'reason ' || n as reason, n::bigint as records, now() as first_rejected_at,
now() as last_rejected_at from generate_series(1, 900) n;
create table last_runs_vw as
select 'extract' as stage, 'e' || n as entity, now() as started_at, now() as ended_at, 'done' as outcome,
n % 2 as exit_code, 'r' as run_id from generate_series(1, 900) n;
"""


@pytest.fixture
def large(cluster: Cluster) -> Warehouse:
    """Views of 40 currencies, 250 countries, 5,000 artists and eight years, as nobody sells."""
    cluster.sql("create database large")
    cluster.sql(LARGE.format(views=VIEWS), "large")
    return open_warehouse(cluster.dsn("large"))


def test_a_page_is_at_most_a_megabyte_and_says_what_it_leaves_out(large: Warehouse, board: Board, pen: Pen) -> None:
    page = build_page(large, board, pen)
    assert len(page.html.encode()) <= 1_000_000
    assert len(page.currencies) == 4
    assert "Sales in 36 more currencies are not in this file" in page.html
    for said in (
        "The first 100 of 5,000.",
        "The newest 120 of 3,001 days",
        "The largest 12 of 250.",
        "The first 100 of 900.",
    ):
        assert said in page.html


def test_a_check_that_failed_is_said_beside_its_time(
    sold: WarehousePipeline, cluster: Cluster, board: Board, pen: Pen
) -> None:
    last_checked = next(chart for chart in board.charts if chart.name == "last_checked")
    found = []
    for entity, exit_code in (("users", 0), ("songs", 1), ("songs", 0)):
        checked(cluster, entity, exit_code)
        ((word, _),) = cells(panels(build_page(sold.warehouse, board, pen).html)[0], last_checked)
        found.append(word)
    assert found == ["passed", "failed", "passed"]


def test_all_figures_are_of_one_moment(cluster: Cluster) -> None:
    warehouse = open_warehouse(cluster.dsn())
    cluster.sql("create table moment as select 1 as n")
    with warehouse.questions() as ask:
        before = ask("select n from moment").rows
        cluster.sql("update moment set n = 2")
        assert ask("select n from moment").rows == before
        with pytest.raises(DeftunesError, match="cannot execute"):
            ask("with gone as (delete from moment returning n) select * from gone")
    assert warehouse.query("select n from moment").rows == [(2,)]


def test_every_kind_of_chart_can_be_drawn(board: Board) -> None:
    assert {chart.kind for chart in board.charts} <= {*DRAWINGS, "big_number_total", "table", "world_map"}


@pytest.mark.parametrize("broken", ["", "charts", "datasets", "dashboards"])
def test_a_definition_that_is_not_whole_is_named(tmp_path: Path, broken: str) -> None:
    for part in ("charts", "datasets", "dashboards"):
        (tmp_path / part).mkdir()
        for path in (BUNDLE / part).rglob("*.yaml"):
            if part != broken and broken:
                (tmp_path / part / path.name).write_bytes(path.read_bytes())
    with pytest.raises(DeftunesError, match="expected the definition of the dashboards in"):
        read_board(tmp_path)


def test_artists_of_one_name_are_two(sold: WarehousePipeline, board: Board, pen: Pen) -> None:
    artists = next(chart for chart in board.charts if chart.name == "sales_per_artist")
    assert artist_id(1) in {row[1] for row in cells(panels(build_page(sold.warehouse, board, pen).html)[0], artists)}
