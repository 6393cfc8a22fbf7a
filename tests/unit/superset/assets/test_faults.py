"""A bad bundle gets a line for each fault, whatever it is; the project's own gets none."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.faults import faults_of
from support.bundle import CHART, DATABASE, bundle_texts, make_bundle, texts_of

NOBODYS = "00000000-0000-5000-8000-0000000000ff"
CHART_FILE, DATASET_FILE, BOARD_FILE = "charts/sales.yaml", "datasets/sales.yaml", "dashboards/board.yaml"
PARAMS = (CHART_FILE, "params")
GRID, CELL = (BOARD_FILE, "position", "GRID_ID"), (BOARD_FILE, "position", "CHART-1")
TARGET = (BOARD_FILE, "metadata", "native_filter_configuration", 0, "targets", 0)
ANYTHING = [..., None, 7, "x", [], {}, [1], [[]], {"a": {}}]


def spoilt(path: tuple[Any, ...], value: Any) -> dict[str, str]:
    """The small bundle with another value at a path; `...` deletes what is there."""
    documents: Any = make_bundle()
    at = documents
    for key in path[:-1]:
        at = at[key]
    if value is ...:
        del at[path[-1]]
    else:
        at[path[-1]] = value
    return texts_of(documents)


def paths_in(value: Any, before: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [before] * bool(before) + [path for key, entry in inner for path in paths_in(entry, (*before, key))]


def test_the_projects_own_bundle_has_no_fault() -> None:
    assert len(bundle_texts()) > 20
    assert list(faults_of(bundle_texts())) == []
    assert list(faults_of(texts_of(make_bundle()))) == []


@pytest.mark.parametrize(
    ("path", "value", "fault"),
    [
        (("metadata.yaml",), ..., "is missing"),
        ((CHART_FILE, "uuid"), "7", "expected a uuid, got '7'"),
        ((DATASET_FILE, "uuid"), DATABASE, "has the uuid of databases/warehouse.yaml"),
        ((DATASET_FILE, "database_uuid"), CHART, f"database_uuid {CHART} is in no file of databases"),
        ((DATASET_FILE, "metrics", 0, "metric_name"), "Country", "'country' is the name of 2 columns and metrics"),
        ((CHART_FILE, "viz_type"), "pi", "viz_type: 'pi' is no chart of Superset 6.1"),
        ((CHART_FILE, "dataset_uuid"), NOBODYS, f"dataset_uuid {NOBODYS} is in no file of datasets"),
        ((CHART_FILE, "dataset_uuid"), DATABASE, f"dataset_uuid {DATABASE} is in no file of datasets"),
        ((*PARAMS, "metrics", 0), "sum", "metrics: 'sum' is no column or metric of sales"),
        (
            (*PARAMS, "metrics"),
            [{"sqlExpression": "1"}],
            "metrics: expected a metric or column of the dataset, by name",
        ),
        ((*PARAMS, "groupby"), "city", "groupby: 'city' is no column or metric of sales"),
        ((*PARAMS, "adhoc_filters"), [{"subject": "city"}], "adhoc_filters: 'city' is no column or metric of sales"),
        ((*CELL, "meta", "uuid"), NOBODYS, f"CHART-1: uuid {NOBODYS} is in no file of charts"),
        ((*CELL, "meta", "chartId"), ..., "position: expected a number of its own as chartId of each chart"),
        ((*GRID, "children"), ["CHART-2"], "GRID_ID: its child 'CHART-2' is in no cell"),
        ((*TARGET, "datasetUuid"), NOBODYS, f"F: datasetUuid {NOBODYS} is in no file of datasets"),
        ((*TARGET, "column", "name"), "city", "F: 'city' is no column of sales"),
    ],
)
def test_a_fault_is_one_line_that_names_its_file(path: tuple[Any, ...], value: Any, fault: str) -> None:
    assert f"{path[0]}: {fault}" in list(faults_of(spoilt(path, value)))


def test_several_faults_are_several_lines() -> None:
    documents = make_bundle()
    documents[CHART_FILE]["viz_type"] = "pi"
    documents["elsewhere/chart.yaml"] = {"uuid": NOBODYS}
    texts = {**texts_of(documents), "charts/torn.yaml": "a: [1", "charts/list.yaml": "[1]"}

    faults = list(faults_of(texts))

    assert [fault.partition(":")[0] for fault in faults] == [
        "charts/torn.yaml", "charts/list.yaml", "elsewhere/chart.yaml", "charts/sales.yaml"
    ]  # fmt: skip


@given(
    path=st.sampled_from(paths_in(make_bundle())),
    value=st.sampled_from([..., None, 7, "x", [], {}, [1], [[]], {"a": {}}]),
)
def test_no_value_at_any_place_is_more_than_a_fault(path: tuple[Any, ...], value: Any) -> None:
    assert all(isinstance(fault, str) for fault in faults_of(spoilt(path, value)))


@given(text=st.text(max_size=40))
def test_no_text_is_more_than_a_fault(text: str) -> None:
    faults = list(faults_of({**texts_of(make_bundle()), "charts/any.yaml": text}))
    assert faults
    assert all(fault.startswith("charts/any.yaml: ") for fault in faults)
