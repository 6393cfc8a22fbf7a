"""A connection to Redshift that records what it is asked: no engine for Redshift runs here, so its SQL is parsed."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import sqlglot

from deftunes.adapters.warehouse import Dialect, Row

# What the platform says to PostgreSQL alone.
_POSTGRES_ONLY = ("for update", "advisory", "analyze", "to_regclass")


class RecordingConnection:
    """Answers every question with one row and records the statements."""

    dialect = Dialect.REDSHIFT

    def __init__(self, answer: Row) -> None:
        self.answer = answer
        self.statements: list[str] = []

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """As a warehouse connection's."""
        yield

    def run(self, sql: str, parameters: Sequence[object] = ()) -> list[Row]:
        """Record a statement, with a value for each parameter."""
        assert sql.count("%s") == len(parameters)
        self.statements.append(sql.replace("%s", "'2025-01-01'"))
        return [self.answer]

    def assert_redshift(self, at_least: int) -> None:
        """So many statements were recorded, and each parses as Redshift's without a word of PostgreSQL's own."""
        assert len(self.statements) >= at_least
        for statement in self.statements:
            assert sqlglot.parse(statement, dialect="redshift", error_level=sqlglot.ErrorLevel.RAISE)
            assert not any(word in statement for word in _POSTGRES_ONLY)
