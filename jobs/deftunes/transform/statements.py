"""The SQL of an entity: named statements of `sql/<entity>.sql`, their blanks filled in.

One text for both engines: plain SQL that DuckDB and Spark read alike (docs/adr/0029 has what stays out of it).
"""

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from string import Template

from deftunes.core.entities import Entity

_NAME = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)


class Statements:
    """The statements of one entity; what `values` does not fill in is filled in by each call."""

    def __init__(self, entity: Entity, **values: str) -> None:
        self._templates = _templates(entity)
        self._values = values

    def __call__(self, name: str, **values: str) -> str:
        """A statement.

        Raises:
            KeyError: there is none of this name, or a blank is left.
        """
        return self._templates[name].substitute(self._values, **values)


def columns(names: Iterable[str]) -> str:
    """A list of columns."""
    return ", ".join(names)


def instants(values: Iterable[datetime]) -> str:
    """A list of instants to look in; of none, one that nothing equals."""
    return ", ".join(map(instant, values)) or "null"


def instant(value: datetime) -> str:
    """An instant as both engines read it; their sessions are in UTC."""
    return f"timestamp '{value.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}'"


@cache
def _templates(entity: Entity) -> dict[str, Template]:
    text = files("deftunes.transform").joinpath("sql", f"{entity}.sql").read_text("utf-8")
    _, *parts = _NAME.split(text)
    return {name: Template(body.strip()) for name, body in zip(parts[::2], parts[1::2], strict=True)}
