"""The dashboards' bundle, and a small one that tests may spoil."""

import copy
from functools import cache
from typing import Any

import yaml

from assets.files import document_of, kind_of, texts_in
from deftunes.core.settings import REPOSITORY

FOLDER = REPOSITORY / "superset" / "bundle"
DATABASE, DATASET, CHART, DASHBOARD = (f"00000000-0000-5000-8000-00000000000{number}" for number in range(1, 5))

Document = dict[str, Any]

_SMALL: dict[str, Document] = {
    "metadata.yaml": {"version": "1.0.0", "type": "assets"},
    "databases/warehouse.yaml": {"uuid": DATABASE, "database_name": "warehouse", "sqlalchemy_uri": "postgresql://x"},
    "datasets/sales.yaml": {
        "uuid": DATASET, "database_uuid": DATABASE, "table_name": "sales",
        "columns": [{"column_name": "country"}], "metrics": [{"metric_name": "total", "expression": "sum(x)"}],
    },
    "charts/sales.yaml": {
        "uuid": CHART, "dataset_uuid": DATASET, "slice_name": "Sales", "viz_type": "table",
        "params": {"viz_type": "table", "groupby": ["country"], "metrics": ["total"], "adhoc_filters": []},
    },
    "dashboards/board.yaml": {
        "uuid": DASHBOARD, "dashboard_title": "Board", "slug": "board",
        "metadata": {
            "native_filter_configuration": [
                {
                    "id": "F", "scope": {"excluded": [7]},
                    "targets": [{"datasetUuid": DATASET, "column": {"name": "country"}}],
                },
            ],
        },
        "position": {
            "GRID_ID": {"id": "GRID_ID", "type": "GRID", "children": ["CHART-1"]},
            "CHART-1": {
                "id": "CHART-1", "type": "CHART", "children": [],
                "meta": {"uuid": CHART, "chartId": 7, "sliceName": "Sales"},
            },
        },
    },
}  # fmt: skip


def make_bundle() -> dict[str, Document]:
    """One asset of each kind, by path: a table of one metric and one column, and a filter of that column."""
    return copy.deepcopy(_SMALL)


def texts_of(documents: dict[str, Document]) -> dict[str, str]:
    """The documents as files."""
    return {name: yaml.safe_dump(document) for name, document in documents.items()}


@cache
def bundle_texts() -> dict[str, str]:
    """The project's own bundle."""
    texts, unreadable = texts_in(FOLDER)
    assert not unreadable
    return texts


@cache
def assets_of(kind: str) -> dict[str, Document]:
    """The project's own assets of a kind, by path."""
    return {name: document_of(text) for name, text in bundle_texts().items() if kind_of(name) == kind}
