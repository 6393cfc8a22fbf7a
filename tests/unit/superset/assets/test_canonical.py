"""A document is written in one way, wherever it comes from."""

import copy

import yaml

from assets.canonical import file_name_of, text_of
from assets.files import document_of
from support.bundle import bundle_texts, make_bundle


def test_every_file_of_the_bundle_is_written_in_that_way() -> None:
    """So what an export writes is what a person has changed."""
    compared = 0
    for name, text in bundle_texts().items():
        if name != "metadata.yaml":
            compared += 1
            assert text_of(document_of(text), document_of(text)) == text, name
    assert compared > 20


def test_what_a_server_adds_is_left_out() -> None:
    chart = make_bundle()["charts/sales.yaml"]
    served = copy.deepcopy(chart)
    served["query_context"] = "{}"
    served["params"] |= {"slice_id": 31, "datasource": "4__table", "dashboards": [9], "annotation_layers": []}
    served["params"] |= {"extra_form_data": {}, "matrixify_mode": "metrics", "url_params": {"a": "b"}}
    assert text_of(served, {}) == text_of(chart, {})


def test_columns_and_metrics_are_in_the_order_of_their_names() -> None:
    dataset = make_bundle()["datasets/sales.yaml"]
    dataset["columns"] = [{"column_name": name, "groupby": True, "is_dttm": False} for name in ("b", "a")]
    assert yaml.safe_load(text_of(dataset, {}))["columns"] == [{"column_name": "a"}, {"column_name": "b"}]


def test_a_column_that_is_not_to_be_asked_for_stays_so() -> None:
    dataset = make_bundle()["datasets/sales.yaml"]
    dataset["columns"] = [{"column_name": "a", "groupby": False, "filterable": False}]
    assert yaml.safe_load(text_of(dataset, {}))["columns"] == dataset["columns"]


def test_charts_have_the_number_of_their_place() -> None:
    here, there = make_bundle()["dashboards/board.yaml"], make_bundle()["dashboards/board.yaml"]
    there["position"]["CHART-1"]["meta"]["chartId"] = 4711
    there["metadata"]["native_filter_configuration"][0]["scope"]["excluded"] = [4711, 12]

    assert text_of(here, {}) == text_of(there, {})
    written = yaml.safe_load(text_of(there, {}))
    assert written["position"]["CHART-1"]["meta"] == {"uuid": here["position"]["CHART-1"]["meta"]["uuid"], "chartId": 1}
    assert written["metadata"]["native_filter_configuration"][0]["scope"]["excluded"] == [1]


def test_the_warehouses_address_stays_as_the_file_has_it() -> None:
    database = make_bundle()["databases/warehouse.yaml"]
    served = {**database, "sqlalchemy_uri": "redshift+psycopg2://bi@example.com/dev"}
    assert text_of(served, database) == text_of(database, {})


def test_a_new_asset_is_named_by_its_title() -> None:
    assert file_name_of({"slice_name": "Sales / day", "uuid": "1"}) == "sales___day.yaml"
    assert file_name_of({"dashboard_title": "Ours", "slug": "deftunes"}) == "deftunes.yaml"
    assert file_name_of({"uuid": "1"}) == "1.yaml"
