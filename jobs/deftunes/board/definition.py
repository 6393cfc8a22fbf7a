"""What is shown: Superset's bundle (`superset/bundle`), read as charts with their questions to the warehouse.

    datasets (columns, metrics) + charts (what of them, how) + the dashboard (where)  ->  Board

One definition for both boards: nothing here names a view, a column or a title.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from deftunes.core.errors import DeftunesError

Yaml = Mapping[str, Any]
_OPERATORS = {"==": "=", "!=": "<>", ">": ">", ">=": ">=", "<": "<", "<=": "<="}
_GRAINS = {"P1D": "day", "P1M": "month", "P1Y": "year"}


@dataclass(frozen=True, slots=True)
class Field:
    """A column of an answer: what it is called there, how it is computed, what a reader calls it."""

    name: str
    expression: str
    title: str
    number_format: str | None = None
    is_amount: bool = False  # in the board's currency
    is_time: bool = False


@dataclass(frozen=True)
class Chart:
    """A chart, a table or a tile. `width` is in twelfths of the page."""

    name: str
    kind: str
    title: str
    description: str
    dataset: Yaml
    params: Yaml
    width: int
    is_per_currency: bool

    @cached_property
    def dimensions(self) -> tuple[Field, ...]:
        """What the rows of the answer are told apart by."""
        names = [self.params.get("x_axis"), self.params.get("entity"), *self._listed("groupby", "all_columns")]
        return tuple(self._column(name) for name in names if name)

    @cached_property
    def metrics(self) -> tuple[Field, ...]:
        """What is counted or added up."""
        return tuple(self._metric(name) for name in [*self._listed("metric"), *self._listed("metrics")])

    @property
    def fields(self) -> tuple[Field, ...]:
        """The columns of the answer, in order."""
        return (*self.dimensions, *self.metrics)

    @property
    def is_over_time(self) -> bool:
        """Whether its horizontal axis is a line of days."""
        return bool(self.params.get("x_axis")) and self.dimensions[0].is_time

    def question(self, currency: str | None) -> str:
        """The SQL of its answer, as Superset asks for it."""
        of_one_row = self.params.get("query_mode") == "raw" or not self.metrics
        columns = ", ".join(f'{field.expression} as "{field.name}"' for field in self.fields)
        where = [*self._filters(), *([f"currency = {_literal(currency)}"] if currency is not None else [])]
        places = ", ".join(str(place) for place in range(1, len(self.dimensions) + 1))
        return " ".join(
            filter(
                None,
                (
                    f"select {columns} from {self.dataset['schema']}.{self.dataset['table_name']}",
                    f"where {' and '.join(where)}" if where else "",
                    f"group by {places}" if places and not of_one_row else "",
                    f"order by {', '.join(self._order())}" if self.dimensions else "",
                    f"limit {int(self.params['row_limit'])}" if "row_limit" in self.params else "",
                ),
            )
        )

    def _order(self) -> Iterator[str]:
        listed = [yaml.safe_load(one) for one in self.params.get("order_by_cols", ())]
        names = [field.name for field in self.fields]
        for name, ascending in listed:
            yield f"{names.index(name) + 1}{'' if ascending else ' desc'}"
        by_value = "x_axis_sort" in self.params or "x_axis_sort_asc" not in self.params
        if not listed and not self.is_over_time and self.metrics and by_value:
            yield f"{len(self.dimensions) + 1} desc nulls last"
        if not listed:
            yield "1"

    def _filters(self) -> Iterator[str]:
        for one in self.params.get("adhoc_filters", ()):
            if one["expressionType"] == "SQL":
                yield f"({one['sqlExpression']})"
            else:
                subject = self._column(one["subject"]).expression
                yield f"{subject} {_OPERATORS[one['operator']]} {_literal(one['comparator'])}"

    def _listed(self, *names: str) -> list[str]:
        values = [self.params.get(name) or [] for name in names]
        return [each for value in values for each in ([value] if isinstance(value, str) else value)]

    def _column(self, name: str) -> Field:
        column = next(column for column in self.dataset["columns"] if column["column_name"] == name)
        expression = column.get("expression") or name
        is_time = bool(column.get("is_dttm"))
        grain = _GRAINS.get(self.params.get("time_grain_sqla", "")) if name == self.params.get("x_axis") else None
        if is_time and grain:
            expression = f"cast(date_trunc('{grain}', {expression}) as date)"
        return Field(name, expression, column.get("verbose_name") or name, is_time=is_time)

    def _metric(self, name: str) -> Field:
        metric = next(metric for metric in self.dataset["metrics"] if metric["metric_name"] == name)
        return Field(
            name,
            metric["expression"],
            metric.get("verbose_name") or name,
            number_format=metric.get("d3format") or self.params.get("y_axis_format"),
            is_amount=bool(metric.get("currency")),
        )


@dataclass(frozen=True, slots=True)
class Note:
    """Text, as Markdown."""

    text: str
    width: int


@dataclass(frozen=True, slots=True)
class Board:
    """Rows of charts and notes."""

    title: str
    description: str
    currency: str | None  # the one that is shown first, where it has sales
    rows: tuple[tuple[Chart | Note, ...], ...]

    @property
    def charts(self) -> tuple[Chart, ...]:
        """Every chart, in reading order."""
        return tuple(part for row in self.rows for part in row if isinstance(part, Chart))


def read_board(bundle: Path) -> Board:
    """The one dashboard of a bundle.

    Raises:
        DeftunesError: there is no such bundle, or a part of it names what is not there.
    """
    try:
        dashboard = next(iter(_files(bundle / "dashboards").values()))
        datasets = {dataset["uuid"]: dataset for dataset in _files(bundle / "datasets").values()}
        charts = {chart["uuid"]: (name, chart) for name, chart in _files(bundle / "charts").items()}
        return _board(dashboard, datasets, charts)
    except (OSError, StopIteration, KeyError, TypeError, yaml.YAMLError) as error:
        raise DeftunesError(
            f"expected the definition of the dashboards in {bundle}, got {type(error).__name__}: {error}. "
            "DEFTUNES_DASHBOARDS names the folder"
        ) from error


def _board(dashboard: Yaml, datasets: Mapping[str, Yaml], charts: Mapping[str, tuple[str, Yaml]]) -> Board:
    places = dashboard["position"]
    filters = {one["targets"][0]["column"]["name"]: one for one in dashboard["metadata"]["native_filter_configuration"]}
    currency_filter = filters["currency"]
    excluded = set(currency_filter["scope"]["excluded"])

    def part(place: Yaml) -> Chart | Note:
        meta = place["meta"]
        if place["type"] != "CHART":
            return Note(meta["code"], meta["width"])
        name, chart = charts[meta["uuid"]]
        return Chart(
            name=name,
            kind=chart["viz_type"],
            title=chart["slice_name"],
            description=chart.get("description") or "",
            dataset=datasets[chart["dataset_uuid"]],
            params=chart["params"],
            width=meta["width"],
            is_per_currency=meta["chartId"] not in excluded,
        )

    def parts(name: str) -> Iterator[Chart | Note]:
        """What is under a place: a column in a row is read from top to bottom."""
        place = places[name]
        if place["type"] in {"CHART", "MARKDOWN"}:
            yield part(place)
        for child in place.get("children", ()):
            yield from parts(child)

    default = currency_filter["defaultDataMask"]["filterState"].get("value") or [None]
    return Board(
        title=dashboard["dashboard_title"],
        description=dashboard.get("description") or "",
        currency=default[0],
        rows=tuple(tuple(parts(row)) for row in places["GRID_ID"]["children"]),
    )


def _files(folder: Path) -> dict[str, Yaml]:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return {path.stem: yaml.load(path.read_text(), loader) for path in sorted(folder.rglob("*.yaml"))}  # noqa: S506 - safe


def _literal(value: object) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    text = str(value).replace("'", "''")
    return f"'{text}'"
