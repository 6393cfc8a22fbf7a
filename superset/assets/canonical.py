"""The one way in which a document is written: nothing of this server, nothing at its default, in one order.

So an export right after an import writes nothing, and an edit in the browser is a diff of a few lines.
"""

from collections.abc import Mapping
from typing import Any

import yaml

from assets.files import Document, items, mapping

_WIDTH = 118
# Of the keys that open a document or an entry; the others follow in the order of the alphabet.
_FIRST = (
    "uuid", "version", "database_uuid", "dataset_uuid", "database_name", "schema", "table_name", "slice_name",
    "dashboard_title", "slug", "description", "is_managed_externally", "viz_type", "column_name", "metric_name",
)  # fmt: skip
_DEFAULTS: Mapping[str, Any] = {
    "always_filter_main_dttm": False, "annotation_layers": [], "certification_details": "", "certified_by": "",
    "chart_customization_config": [], "css": "", "default_filters": "{}", "extra_form_data": {},
    "filter_select_enabled": True, "filterable": True, "groupby": True, "impersonate_user": False, "is_active": True,
    "is_dttm": False, "normalize_columns": False, "offset": 0,
}  # fmt: skip
# What a server adds that says nothing about the asset: ids, colours that a look at the board has assigned, a question
# that Explore has stored.
_OF_THE_SERVER = frozenset({
    "chartsInScope", "color_scheme_domain", "dashboards", "datasource", "map_label_colors", "query_context",
    "shared_label_colors", "slice_id", "sqlalchemy_uri", "tabsInScope", "url_params",
})  # fmt: skip


def text_of(document: Document, old: Mapping[str, Any]) -> str:
    """The document's file; `old` is what the file says now, whose address of the warehouse stays."""
    address = old.get("sqlalchemy_uri", document.get("sqlalchemy_uri"))
    if "position" in document:
        document = _with_numbered_charts(document)
    # Export does not know the key that takes Edit out of the browser.
    document = _clean({**document, "is_managed_externally": True})
    if "database_name" in document:
        document["sqlalchemy_uri"] = address
    for key, name in (("columns", "column_name"), ("metrics", "metric_name")):
        if key in document:
            document[key].sort(key=lambda entry, name=name: entry[name])
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=_WIDTH)


def file_name_of(document: Document) -> str:
    """The name of a file that an asset does not have yet."""
    named = ("slug", "slice_name", "table_name", "database_name", "dashboard_title", "uuid")
    name = next(str(document[key]) for key in named if document.get(key))
    return "".join(letter if letter.isalnum() else "_" for letter in name.lower()) + ".yaml"


def _clean(value: Any) -> Any:
    if isinstance(value, list):
        return [_clean(entry) for entry in value]
    if not isinstance(value, dict):
        return value
    kept = {key: _clean(entry) for key, entry in value.items() if _says_something(key, entry, value)}
    return {key: kept[key] for key in sorted(kept, key=_place)}


def _says_something(key: object, entry: object, around: Mapping[Any, Any]) -> bool:
    if entry is None or key in _OF_THE_SERVER or str(key).startswith("matrixify_"):
        return False
    # A chart's `groupby` are its columns; a column's says that it may be one.
    if key not in _DEFAULTS or (key == "groupby" and "viz_type" in around):
        return True
    default = _DEFAULTS[str(key)]
    return type(entry) is not type(default) or entry != default


def _place(key: object) -> tuple[int, str]:
    return (_FIRST.index(key) if key in _FIRST else len(_FIRST), str(key))


def _with_numbered_charts(dashboard: Document) -> Document:
    """Charts by their place instead of by the ids that they have on this server, also where filters except them."""
    numbers: dict[object, int] = {}
    position: dict[str, Any] = {}
    for name, cell in sorted(dashboard["position"].items()):
        position[name] = cell
        if mapping(cell).get("type") == "CHART":
            meta = {key: value for key, value in cell["meta"].items() if key != "sliceName"}
            numbers[meta["chartId"]] = meta["chartId"] = len(numbers) + 1
            position[name] = {**cell, "meta": meta}
    metadata = {**mapping(dashboard.get("metadata")), "chart_configuration": {}}
    if "global_chart_configuration" in metadata:
        metadata["global_chart_configuration"] = _rescoped(metadata["global_chart_configuration"], numbers)
    if "native_filter_configuration" in metadata:
        metadata["native_filter_configuration"] = [
            _rescoped(entry, numbers) for entry in metadata["native_filter_configuration"]
        ]
    return {**dashboard, "metadata": metadata, "position": position}


def _rescoped(entry: Mapping[str, Any], numbers: Mapping[object, int]) -> dict[str, Any]:
    scope = mapping(entry.get("scope"))
    if "excluded" not in scope:
        return dict(entry)
    excluded = sorted(numbers[number] for number in items(scope["excluded"]) if number in numbers)
    return {**entry, "scope": {**scope, "excluded": excluded}}
