"""Values as a reader reads them: the formats that Superset's charts name (d3's), in Python."""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from deftunes.board.definition import Field

_LONGEST = 80  # characters of a text; a source may send any number
NOTHING = "\u2013"


@dataclass(frozen=True, slots=True)
class Notation:
    """How the values of one currency are written; None where a chart is of no currency."""

    currency: str | None

    def value(self, value: Any, field: Field) -> str:
        """A value of this column; a dash where there is none."""
        if value is None:
            return NOTHING
        if isinstance(value, datetime):
            return f"{value:%Y-%m-%d %H:%M}"
        if isinstance(value, date):
            return value.isoformat()
        if isinstance(value, bool):
            return "yes" if value else "no"
        if not isinstance(value, int | float | Decimal):
            text = str(value)
            return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}\u2026"
        number = format(value, _python_format(field.number_format, value))
        return f"{self._symbol()}{number}" if field.is_amount else number

    def _symbol(self) -> str:
        from babel.numbers import get_currency_symbol

        symbol: str = get_currency_symbol(self.currency or "", locale="en")
        return symbol if not symbol.isalpha() else f"{symbol} "


def _python_format(d3: str | None, value: Any) -> str:
    """d3's formats are Python's but for whole numbers, which Python writes only of integers."""
    if d3 is None or d3 == "SMART_NUMBER":
        return "," if isinstance(value, int) else ",.2f"
    if d3.endswith("d") and not isinstance(value, int):
        return d3[:-1] + ".0f"
    return d3
