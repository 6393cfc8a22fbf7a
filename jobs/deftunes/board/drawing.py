"""Charts as Vega-Lite: one function a kind, each for a telephone's width, since a page can only make them wider.

Colours are the page's own variables, so that one drawing serves light and dark.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from deftunes.board.definition import Chart, Field
from deftunes.board.notation import Notation

Row = Mapping[str, Any]
Specification = dict[str, Any]

STEPS = 5  # of a sequence of colours, --s0 to --s4
_SERIES = 4  # colours that are told apart with any kind of colour blindness, --c0 to --c3
_FEW_DAYS = 8  # so many names fit below the axis
_WIDTH = 420
_COUNTRY = re.compile(r"[A-Z]{2}")


def bars(chart: Chart, rows: Sequence[Row], form: Notation) -> Specification:
    """Bars over time, over numbers, or from the left, each with its figure where there are few."""
    if chart.params.get("orientation") == "horizontal":
        return _ranking(chart, rows, form)
    axis, metrics = chart.dimensions[0], chart.metrics
    values = [
        {"x": _json(row[axis.name]), "y": _json(row[metric.name]), "series": metric.title}
        for row in rows
        for metric in metrics
        if row[metric.name] is not None
    ]
    x: dict[str, Any] = {"field": "x", "title": chart.params.get("x_axis_title")}
    if chart.is_over_time:
        few = len({value["x"] for value in values}) <= _FEW_DAYS
        x |= {"type": "ordinal"} if few else {"type": "temporal", "timeUnit": "utcyearmonthdate"}
        x["axis"] = {"labelAngle": 0, "labelOverlap": True, "tickCount": 5, **({} if few else {"format": "%-d %b %Y"})}
    else:
        x |= {"type": "ordinal", "axis": {"labelAngle": 0, "labelOverlap": True}, "sort": None}
    names = [metric.title for metric in metrics]
    series = {
        "field": "series",
        "scale": {"domain": names, "range": [f"var(--c{number % _SERIES})" for number in range(len(names))]},
        "legend": {"orient": "top", "title": None} if len(names) > 1 else None,
    }
    y = {
        "field": "y",
        "type": "quantitative",
        "title": chart.params.get("y_axis_title"),
        "axis": {"format": "~s", "tickCount": 5},
        "stack": "zero",
    }
    return _chart({"type": "bar"}, values, {"x": x, "y": y, "color": series}, height=210)


def _ranking(chart: Chart, rows: Sequence[Row], form: Notation) -> Specification:
    dimension, metric = chart.dimensions[0], chart.metrics[0]
    values = [
        {"x": _json(row[metric.name]), "y": str(row[dimension.name]), "label": form.value(row[metric.name], metric)}
        for row in rows
        if row[metric.name] is not None
    ]
    y = {"field": "y", "type": "nominal", "sort": None, "title": None}
    x = {"field": "x", "type": "quantitative", "axis": None, "scale": {"nice": False}}
    layers = [
        {"mark": {"type": "bar", "color": "var(--c0)"}, "encoding": {"x": x, "y": y}},
        {
            "mark": {"type": "text", "align": "left", "dx": 4, "color": "var(--ink)", "clip": False},
            "encoding": {"x": x, "y": y, "text": {"field": "label"}},
        },
    ]
    return {**_base(values), "layer": layers, "width": _WIDTH - 110, "height": {"step": 22}}


def heatmap(chart: Chart, rows: Sequence[Row], form: Notation) -> Specification:
    """A cell for each pair, coloured within its line, with its figure."""
    (across, down), metric = _pair(chart), chart.metrics[0]
    most: dict[str, Any] = {}
    for row in rows:
        most[str(row[down.name])] = max(most.get(str(row[down.name]), 0), row[metric.name] or 0)
    values = []
    for row in rows:
        step = _step(row[metric.name] or 0, most[str(row[down.name])])
        values.append(
            {
                "x": str(row[across.name]),
                "y": str(row[down.name]),
                "fill": f"var(--s{step})",
                "ink": f"var(--on{step})",
                "label": form.value(row[metric.name], metric),
            }
        )
    x = {"field": "x", "type": "nominal", "title": None, "axis": {"labelAngle": 0, "labelOverlap": True}}
    y = {"field": "y", "type": "nominal", "title": None}
    cell = {"color": {"field": "fill", "type": "nominal", "scale": None}}
    text = {"color": {"field": "ink", "type": "nominal", "scale": None}, "text": {"field": "label"}}
    layers = [
        {"mark": {"type": "rect", "stroke": "var(--card)"}, "encoding": {"x": x, "y": y, **cell}},
        {"mark": {"type": "text", "fontSize": 11}, "encoding": {"x": x, "y": y, **text}},
    ]
    return {**_base(values), "layer": layers, "width": _WIDTH - 40, "height": {"step": 20}}


def _pair(chart: Chart) -> tuple[Field, Field]:
    across, down = chart.dimensions[:2]
    return across, down


def country_colours(chart: Chart, rows: Iterable[Row]) -> dict[str, str]:
    """The colour of each country, by its code: a fifth of the countries with a figure is in each step."""
    entity, metric = chart.dimensions[0].name, chart.metrics[0].name
    ranked = sorted((row for row in rows if row[metric] is not None), key=lambda row: row[metric])
    return {
        str(row[entity]): f"var(--s{min(STEPS - 1, place * STEPS // len(ranked))})" for place, row in enumerate(ranked)
    }


def is_country(code: object) -> bool:
    """Whether it is written as ISO 3166-1 alpha-2 codes are."""
    return _COUNTRY.fullmatch(str(code)) is not None


def _step(value: Any, most: Any) -> int:
    return min(STEPS - 1, int(STEPS * value / most)) if most else 0


SCHEMA = "https://vega.github.io/schema/vega-lite/v5.json"
_TEXT = {"labelColor": "var(--muted)", "titleColor": "var(--muted)", "labelFontSize": 12, "titleFontSize": 12}
_CONFIG = {
    "font": "Inter, Helvetica, Arial, sans-serif",
    "view": {"stroke": None},
    "axis": {**_TEXT, "gridColor": "var(--line)", "domainColor": "var(--line)", "tickColor": "var(--line)"},
    "axisX": {"grid": False},
    "legend": _TEXT,
    "text": {"fontSize": 12},
}


def _base(values: list[dict[str, Any]]) -> Specification:
    return {"$schema": SCHEMA, "background": None, "padding": 2, "data": {"values": values}, "config": _CONFIG}


def _chart(mark: Row, values: list[dict[str, Any]], encoding: Row, *, height: int) -> Specification:
    return {**_base(values), "mark": mark, "encoding": encoding, "width": _WIDTH, "height": height}


def _json(value: object) -> object:
    if isinstance(value, datetime):
        return value.date().isoformat()
    if isinstance(value, date):
        return value.isoformat()
    return float(value) if isinstance(value, Decimal) else value


DRAWINGS: Mapping[str, Callable[[Chart, Sequence[Row], Notation], Specification]] = {
    "echarts_timeseries_bar": bars,
    "echarts_timeseries_line": bars,
    "heatmap_v2": heatmap,
}
