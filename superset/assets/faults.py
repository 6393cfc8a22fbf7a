"""What is wrong with a bundle, a line per fault: what Superset's own import lets pass, or stumbles over.

Files refer to each other by uuid, and charts to metrics and columns by name. Superset checks each file by its schema,
but imports a chart of a metric that no dataset has, and a dashboard whose cell shows nothing.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from uuid import UUID

from assets.files import KINDS, METADATA, Document, document_of, items, kind_of, mapping

# Those of Superset 6.1 that draw without a server for maps' tiles and without JavaScript from a form.
CHART_TYPES = frozenset({
    "ag-grid-table", "big_number", "big_number_total", "box_plot", "bubble_v2", "cal_heatmap", "country_map",
    "echarts_area", "echarts_timeseries", "echarts_timeseries_bar", "echarts_timeseries_line",
    "echarts_timeseries_scatter", "echarts_timeseries_smooth", "echarts_timeseries_step", "funnel", "gauge_chart",
    "graph_chart", "heatmap_v2", "histogram_v2", "mixed_timeseries", "pie", "pivot_table_v2", "radar", "sankey_v2",
    "sunburst_v2", "table", "time_table", "tree_chart", "treemap_v2", "waterfall", "word_cloud", "world_map",
})  # fmt: skip
# The fields of a chart's `params` that name metrics or columns of its dataset.
_TERMS = (
    "all_columns", "columns", "entity", "groupby", "groupbyColumns", "groupbyRows", "metric", "metrics",
    "secondary_metric", "series", "timeseries_limit_metric", "x_axis",
)  # fmt: skip

_Found = Mapping[str, tuple[str, Document]]  # by uuid: a file and what is in it


def faults_of(texts: Mapping[str, str]) -> Iterator[str]:
    """A line for each fault of the files, given by path; none if they can be imported."""
    documents: dict[str, Document] = {}
    for name, text in texts.items():
        try:
            documents[name] = document_of(text)
        except ValueError as error:
            yield f"{name}: {error}"
    if METADATA not in texts:
        yield f"{METADATA}: is missing"
    assets = {name: document for name, document in documents.items() if name != METADATA}
    yield from _identity(assets)
    found = {str(document.get("uuid")): (name, document) for name, document in assets.items()}
    checks: dict[str, Callable[[Document, _Found], Iterator[str]]] = {
        "datasets": _dataset, "charts": _chart, "dashboards": _dashboard
    }  # fmt: skip
    for name, document in assets.items():
        if check := checks.get(kind_of(name)):
            for fault in check(document, found):
                yield f"{name}: {fault}"


def _identity(assets: Mapping[str, Document]) -> Iterator[str]:
    owners: dict[str, str] = {}
    for name, document in assets.items():
        if kind_of(name) not in KINDS or "/" not in name:
            yield f"{name}: expected a file in one of {', '.join(KINDS)}"
        uuid = str(document.get("uuid"))
        if not _is_uuid(uuid):
            yield f"{name}: expected a uuid, got {uuid!r}"
        elif uuid in owners:
            yield f"{name}: has the uuid of {owners[uuid]}"
        owners.setdefault(uuid, name)


def _is_uuid(text: str) -> bool:
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False


def _refers(document: Mapping[str, object], key: str, kind: str, found: _Found) -> Iterator[str]:
    uuid = str(document.get(key))
    name, _ = found.get(uuid, ("", {}))
    if kind_of(name) != kind:
        yield f"{key} {uuid} is in no file of {kind}"


def _dataset(document: Document, found: _Found) -> Iterator[str]:
    yield from _refers(document, "database_uuid", "databases", found)
    names = Counter(_names(document))
    yield from (f"{name!r} is the name of {count} columns and metrics" for name, count in names.items() if count > 1)


def _names(dataset: Document) -> Iterator[str]:
    for key, name in (("columns", "column_name"), ("metrics", "metric_name")):
        for entry in items(dataset.get(key)):
            yield str(mapping(entry).get(name)).lower()  # Redshift takes labels for the same that differ in case only


def _chart(document: Document, found: _Found) -> Iterator[str]:
    if str(document.get("viz_type")) not in CHART_TYPES:
        yield f"viz_type: {document.get('viz_type')!r} is no chart of Superset 6.1"
    yield from _refers(document, "dataset_uuid", "datasets", found)
    _, dataset = found.get(str(document.get("dataset_uuid")), ("", {}))
    if not dataset:
        return
    known = set(_names(dataset))
    params = mapping(document.get("params"))
    wanted = [(key, term) for key in _TERMS for term in items(params.get(key))]
    wanted += [("adhoc_filters", mapping(one).get("subject")) for one in items(params.get("adhoc_filters"))]
    for key, term in wanted:
        if not isinstance(term, str):
            yield f"{key}: expected a metric or column of the dataset, by name"
        elif term.lower() not in known:
            yield f"{key}: {term!r} is no column or metric of {dataset.get('table_name')}"


def _dashboard(document: Document, found: _Found) -> Iterator[str]:
    position = mapping(document.get("position"))
    numbers = []
    for name, cell in position.items():
        yield from (
            f"{name}: its child {child!r} is in no cell"
            for child in items(mapping(cell).get("children"))
            if not isinstance(child, str) or child not in position
        )
        if mapping(cell).get("type") == "CHART":
            meta = mapping(mapping(cell).get("meta"))
            yield from (f"{name}: {fault}" for fault in _refers(meta, "uuid", "charts", found))
            numbers.append(meta.get("chartId"))
    if any(type(number) is not int for number in numbers) or len(set(map(str, numbers))) < len(numbers):
        yield "position: expected a number of its own as chartId of each chart"
    for entry in items(mapping(document.get("metadata")).get("native_filter_configuration")):
        for target in items(mapping(entry).get("targets")):
            yield from (f"{mapping(entry).get('id')}: {fault}" for fault in _filter(mapping(target), found))


def _filter(target: Mapping[str, object], found: _Found) -> Iterator[str]:
    faults = list(_refers(target, "datasetUuid", "datasets", found))
    yield from faults
    column = mapping(target.get("column")).get("name")
    if not faults:
        _, dataset = found[str(target.get("datasetUuid"))]
        if str(column).lower() not in set(_names(dataset)):
            yield f"{column!r} is no column of {dataset.get('table_name')}"
