"""The dashboards by their files: of the views' columns, one currency at a time, in colours that everybody can tell."""

from itertools import combinations, pairwise
from typing import Any

import pytest
import yaml
from coloraide import Color

import theme
from assets.faults import CHART_TYPES
from deftunes.core import layout
from deftunes.core.settings import REPOSITORY
from support.bundle import Document, assets_of

BI_VIEWS = REPOSITORY / "dbt_modeling" / "models" / "bi_views"
DATASETS, CHARTS, DASHBOARDS = (list(assets_of(kind).values()) for kind in ("datasets", "charts", "dashboards"))
BOARD_URL = "http://localhost:8088/superset/dashboard/{slug}/"
ONE_CURRENCY = "case when min(min(currency)) over () = max(max(currency)) over () then {} end"
# What must not be added up over currencies: amounts, and what is counted in each of them.
OF_ONE_CURRENCY = {"total_sales", "sessions", "new_buyers", "buyers"}
# As wide as the dashboard's CSS for telephones knows.
WIDTHS = {3, 6}
THEMES = {"light": theme.LIGHT["token"], "dark": theme.DARK["token"]}
TEXT_CONTRAST, GRAPHICS_CONTRAST = 4.5, 3.0
# By CIEDE2000; 2.3 is just noticeable side by side.
TOLD_APART = 12.0
# With each kind of colour blindness, and without.
EYES = (None, "protan", "deutan", "tritan")


def dbt_columns(view: str) -> dict[str, str]:
    models = yaml.safe_load((BI_VIEWS / "_bi_views.yml").read_text("utf-8"))["models"]
    (model,) = [model for model in models if model["name"] == view]
    return {column["name"]: column["data_type"] for column in model["columns"]}


def named(assets: list[Document], key: str) -> list[Any]:
    return [pytest.param(asset, id=str(asset[key])) for asset in assets]


def test_every_bi_view_is_a_dataset() -> None:
    assert sorted(dataset["table_name"] for dataset in DATASETS) == sorted(layout.BI_VIEWS)
    assert {dataset["schema"] for dataset in DATASETS} == {layout.BI_SCHEMA}


@pytest.mark.parametrize("dataset", named(DATASETS, "table_name"))
def test_a_datasets_columns_are_those_of_its_view(dataset: Document) -> None:
    physical = {column["column_name"]: column["type"] for column in dataset["columns"] if "expression" not in column}
    assert physical == {name: kind.upper() for name, kind in dbt_columns(dataset["table_name"]).items()}


@pytest.mark.parametrize("dataset", named(DATASETS, "table_name"))
def test_an_amount_is_empty_unless_the_question_is_about_one_currency(dataset: Document) -> None:
    if "currency" not in dbt_columns(dataset["table_name"]):
        return
    assert dataset["currency_code_column"] == "currency"
    for metric in dataset["metrics"]:
        expression = metric["expression"]
        words = set(expression.replace("(", " ").replace(")", " ").split())
        if words & OF_ONE_CURRENCY:
            guard, _, end = ONE_CURRENCY.partition("{}")
            assert expression.startswith(guard), metric["metric_name"]
            assert expression.endswith(end)


@pytest.mark.parametrize("dataset", named(DATASETS, "table_name"))
def test_nobody_may_ask_for_an_amount_or_a_buyer_itself(dataset: Document) -> None:
    """A reader asks for columns that are to be grouped or filtered by (superset/readers.py)."""
    for column in dataset["columns"]:
        if column["column_name"] in {"total_sales", "user_id"}:
            assert (column["groupby"], column["filterable"]) == (False, False)


@pytest.mark.parametrize("chart", named(CHARTS, "slice_name"))
def test_a_chart_is_of_a_known_kind_and_says_what_it_shows(chart: Document) -> None:
    assert chart["viz_type"] in CHART_TYPES
    assert chart["viz_type"] == chart["params"]["viz_type"]
    assert chart["description"].endswith(".")


def test_every_chart_is_on_a_dashboard_once() -> None:
    shown = [
        cell["meta"]["uuid"]
        for dashboard in DASHBOARDS
        for cell in dashboard["position"].values()
        if isinstance(cell, dict) and cell["type"] == "CHART"
    ]
    assert len(shown) > 10
    assert sorted(shown) == sorted(chart["uuid"] for chart in CHARTS)


@pytest.mark.parametrize("dashboard", named(DASHBOARDS, "slug"))
def test_a_chart_is_as_wide_as_a_telephone_or_half(dashboard: Document) -> None:
    cells = [
        cell for cell in dashboard["position"].values() if isinstance(cell, dict) and "width" in cell.get("meta", {})
    ]
    assert {cell["meta"]["width"] for cell in cells} == WIDTHS
    assert "@media (max-width" in dashboard["css"]


@pytest.mark.parametrize("dashboard", named(DASHBOARDS, "slug"))
def test_the_currency_is_one_and_filters_reach_what_has_their_column(dashboard: Document) -> None:
    filters = {entry["name"]: entry for entry in dashboard["metadata"]["native_filter_configuration"]}
    control = filters["Currency"]["controlValues"]
    assert (control["multiSelect"], control["enableEmptyFilter"]) == (False, True)
    assert filters["Currency"]["defaultDataMask"]["filterState"]["value"] == ["USD"]

    datasets = {dataset["uuid"]: {column["column_name"] for column in dataset["columns"]} for dataset in DATASETS}
    columns = {chart["uuid"]: datasets[chart["dataset_uuid"]] for chart in CHARTS}
    cells = [
        cell["meta"] for cell in dashboard["position"].values() if isinstance(cell, dict) and cell["type"] == "CHART"
    ]
    for entry in filters.values():
        column = entry["targets"][0]["column"]["name"]
        without = {meta["chartId"] for meta in cells if column not in columns[meta["uuid"]]}
        assert set(entry["scope"]["excluded"]) == without


def test_exposures_are_the_dashboards_with_their_address() -> None:
    exposures = yaml.safe_load((BI_VIEWS / "_exposures.yml").read_text("utf-8"))["exposures"]
    found = {exposure["url"]: exposure for exposure in exposures}
    assert found.keys() == {BOARD_URL.format(slug=dashboard["slug"]) for dashboard in DASHBOARDS}
    for dashboard in DASHBOARDS:
        exposure = found[BOARD_URL.format(slug=dashboard["slug"])]
        assert exposure["label"] == dashboard["dashboard_title"]
        assert sorted(exposure["depends_on"]) == sorted(f"ref('{dataset['table_name']}')" for dataset in DATASETS)


##### Colours


@pytest.mark.parametrize("eyes", EYES)
def test_categories_are_told_apart_with_any_eyes(eyes: str | None) -> None:
    seen = [Color(color).filter(eyes) if eyes else Color(color) for color in theme.CATEGORIES]
    nearest = min(one.delta_e(other, method="2000") for one, other in combinations(seen, 2))
    assert nearest >= TOLD_APART


def test_colours_that_are_too_alike_are_found() -> None:
    red, green = (Color(color).filter("deutan") for color in ("#a65d00", "#7a7a00"))
    assert red.delta_e(green, method="2000") < TOLD_APART


@pytest.mark.parametrize("eyes", EYES)
def test_a_larger_figure_is_darker_with_any_eyes(eyes: str | None) -> None:
    seen = [Color(color).filter(eyes) if eyes else Color(color) for color in theme.SEQUENCE]
    lightness = [color.convert("lab")["lightness"] for color in seen]
    assert all(lighter - darker > 10 for lighter, darker in pairwise(lightness))


@pytest.mark.parametrize("name", THEMES)
def test_texts_and_bars_stand_out(name: str) -> None:
    token = THEMES[name]
    pairs = [
        (token[text], token[behind])
        for text in ("colorText", "colorTextSecondary", "colorTextDescription", "colorLink", "colorError")
        for behind in ("colorBgBase", "colorBgContainer", "colorBgLayout")
    ]
    pairs += [(token["colorTextLightSolid"], token[behind]) for behind in ("colorPrimary", "colorBgSpotlight")]
    pairs += [(token["colorPrimary"], token[behind]) for behind in ("colorPrimaryBg", "colorPrimaryBgHover")]
    assert {pair: ratio for pair in pairs if (ratio := contrast(*pair)) < TEXT_CONTRAST} == {}
    for color in theme.CATEGORIES:
        assert contrast(color, token["colorBgContainer"]) >= GRAPHICS_CONTRAST


def contrast(one: str, other: str) -> float:
    return Color(one).contrast(Color(other), method="wcag21")
