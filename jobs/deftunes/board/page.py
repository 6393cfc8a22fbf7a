"""The board as one HTML page: every figure asked for, every chart drawn, everything inline.

    Board + warehouse -> answers, by chart and currency -> tiles, drawings, tables -> page

A panel for each currency; the reader chooses one by a style sheet, and no amount of another is in it. The page asks
nobody for anything, and its size is bounded: so many currencies, rows and days, and it says what it leaves out.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from deftunes.board.definition import Board, Chart, Note
from deftunes.board.drawing import DRAWINGS, country_colours, is_country
from deftunes.board.notation import Notation
from deftunes.core import layout
from deftunes.core.errors import BadUsageError, DeftunesError

if TYPE_CHECKING:
    from deftunes.adapters.svg import Pen
    from deftunes.adapters.warehouse import Ask, Warehouse

# Together at most a megabyte, whatever the warehouse holds; a test fills it.
_CURRENCIES = 4
_TABLE_ROWS = 100
_BARS = 40
_DAYS = 120
_HEATMAP_ROWS = 12
_TILE, _TABLE, _MAP = "big_number_total", "table", "world_map"
_SOLD = f"select currency from {layout.BI_SCHEMA}.sales_per_day_vw group by currency order by sum(items) desc, currency"
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """The rows of a chart, as far as they are shown, and what is left out."""

    rows: list[Row]
    left_out: str | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """A page, and the currencies that it shows."""

    html: str
    currencies: tuple[str, ...]


def build_page(warehouse: "Warehouse", board: Board, pen: "Pen", currency: str | None = None) -> Page:
    """The page as of now: every figure is of one moment. `currency` is the one to be shown first.

    Raises:
        BadUsageError: nothing was sold in this currency.
        DeftunesError: the warehouse has not these views, or refuses a question; a chart cannot be drawn.
        RetriableError: the warehouse does not answer.
    """
    with warehouse.questions() as ask:
        every = _currencies(ask)
        shown = _shown(every, currency, board.currency)
        panels = list(_panels(ask, board, shown, pen))
    html = _template().render(
        board=board,
        panels=panels,
        others=every[len(shown) :],
        world=_world() if any(chart.kind == _MAP for chart in board.charts) else "",
        made_at=datetime.now(UTC),
    )
    return Page(html, tuple(shown))


def _shown(every: list[str], currency: str | None, default: str | None) -> list[str]:
    """The currencies that have a panel, the first of them ahead."""
    if currency is not None and currency not in every:
        known = ", ".join(every[:20]) or "none: nothing was sold yet"
        raise BadUsageError(f"expected a currency in which something was sold ({known}), got {currency!r}")
    return sorted(every, key=lambda code: code != (currency or default))[:_CURRENCIES]


def _panels(ask: "Ask", board: Board, shown: Sequence[str], pen: "Pen") -> Iterator[dict[str, Any]]:
    once = {chart.name: _answer(ask, chart, None) for chart in board.charts if not chart.is_per_currency}
    for code in shown:
        answers = {chart.name: once.get(chart.name) or _answer(ask, chart, code) for chart in board.charts}
        yield {"currency": code, "rows": list(_rows(board, answers, Notation(code), pen))}
    if not shown:  # an empty warehouse has figures, too
        empty = {chart.name: once.get(chart.name, Answer([])) for chart in board.charts}
        yield {"currency": "", "rows": list(_rows(board, empty, Notation(None), pen))}


def _currencies(ask: "Ask") -> list[str]:
    """Those in which something was sold, the most frequent first."""
    try:
        rows = ask(_SOLD).rows
    except DeftunesError as error:
        if "does not exist" in str(error):
            raise DeftunesError(f"{error}. `deftunes run all` makes the BI views, with an interval of days") from error
        raise
    return [str(currency) for (currency,) in rows]


def _answer(ask: "Ask", chart: Chart, currency: str | None) -> Answer:
    names = [field.name for field in chart.fields]
    rows = [dict(zip(names, row, strict=True)) for row in ask(chart.question(currency)).rows]
    if chart.kind == _MAP:  # which shows what is a country, as Superset's does
        rows = [row for row in rows if is_country(row[names[0]])]
        return Answer(rows)
    if chart.kind in DRAWINGS and chart.is_over_time:
        left_out = f"The newest {_DAYS} of {len(rows):,} days with a sale." if len(rows) > _DAYS else None
        return Answer(rows[-_DAYS:], left_out)
    if chart.kind in DRAWINGS and len(chart.dimensions) > 1:
        return _lines(rows, chart)
    most = _BARS if chart.kind in DRAWINGS else _TABLE_ROWS
    return Answer(rows[:most], f"The first {most} of {len(rows):,}." if len(rows) > most else None)


def _lines(rows: list[Row], chart: Chart) -> Answer:
    """The largest lines of a chart of two dimensions, in the order of their names."""
    lines = _largest(rows, chart.dimensions[1].name, chart.metrics[0].name)
    kept = set(lines[:_HEATMAP_ROWS])
    shown = _sorted([row for row in rows if row[chart.dimensions[1].name] in kept], chart)
    return Answer(shown, f"The largest {_HEATMAP_ROWS} of {len(lines):,}." if len(lines) > _HEATMAP_ROWS else None)


def _largest(rows: Sequence[Row], name: str, metric: str) -> list[str]:
    sums: dict[str, Any] = {}
    for row in rows:
        sums[row[name]] = sums.get(row[name], 0) + (row[metric] or 0)
    return sorted(sums, key=lambda value: (-sums[value], value))


def _sorted(rows: list[Row], chart: Chart) -> list[Row]:
    return sorted(rows, key=lambda row: [str(row[field.name]) for field in reversed(chart.dimensions)])


def _rows(board: Board, answers: dict[str, Answer], form: Notation, pen: "Pen") -> Iterator[list[dict[str, Any]]]:
    for row in board.rows:
        yield [_part(part, answers, form, pen) for part in row]


def _part(part: Chart | Note, answers: dict[str, Answer], form: Notation, pen: "Pen") -> dict[str, Any]:
    """What the template needs of a chart or a note."""
    if isinstance(part, Note):
        return {"kind": "note", "width": part.width, "html": _markdown(part.text)}
    answer = answers[part.name]
    shown: dict[str, Any] = {"chart": part, "width": part.width, "left_out": answer.left_out}
    figures = [[form.value(row[field.name], field) for field in part.fields] for row in answer.rows]
    if part.kind == _TILE:
        return {**shown, "kind": "tile", "value": figures[0][-1] if figures else form.value(None, part.metrics[0])}
    shown["figures"] = figures
    if part.kind == _TABLE or not figures:
        return {**shown, "kind": "table", "marked": _marked(part, answer.rows)}
    if part.kind == _MAP:
        return {**shown, "kind": "map", "colours": country_colours(part, answer.rows)}
    return {**shown, "kind": "drawing", "svg": pen.draw(DRAWINGS[part.kind](part, answer.rows, form))}


def _marked(chart: Chart, rows: Sequence[Row]) -> list[bool]:
    """Which rows a condition of the chart marks (those that somebody acts on)."""
    conditions = [one for one in chart.params.get("conditional_formatting", ()) if one["operator"] == ">"]
    return [any((row[one["column"]] or 0) > one["targetValue"] for one in conditions) for row in rows]


def _markdown(text: str) -> str:
    from markdown_it import MarkdownIt

    html: str = MarkdownIt("commonmark", {"html": False}).render(text)
    return html


def _world() -> str:
    """The world map, drawn ahead (release/world.py), for every panel's colours."""
    svg = (files("deftunes.board") / "world.svg").read_text()
    return f'<symbol id="world" viewBox="0 0 720 340">{svg[svg.index(">") + 1 : svg.rindex("</svg>")]}</symbol>'


def _template() -> Any:
    from jinja2 import Environment, StrictUndefined

    # Everything is escaped: an artist's name is whatever a source says.
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string((files("deftunes.board") / "page.html.j2").read_text())
