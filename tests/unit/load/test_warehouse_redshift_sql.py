"""The book-keeping speaks SQL that Redshift understands too."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime

import pytest
import sqlglot

from deftunes.adapters.warehouse import Dialect, Row
from deftunes.adapters.warehouse_drivers import open_warehouse
from deftunes.core import layout
from deftunes.core.entities import Entity
from deftunes.core.errors import BadUsageError
from deftunes.core.interval import Interval
from deftunes.load.changes import Changes
from deftunes.load.stage import _apply
from deftunes.model.scope import enqueue_scope
from deftunes.state import bookkeeping
from deftunes.state.manifest import Manifest


class Recorder:
    """A connection that answers every question with one row and keeps what it was asked."""

    dialect = Dialect.REDSHIFT

    def __init__(self, answer: Row) -> None:
        self.answer = answer
        self.statements: list[str] = []

    @contextmanager
    def transaction(self) -> Iterator[None]:
        yield

    def run(self, sql: str, parameters: Sequence[object] = ()) -> list[Row]:
        assert sql.count("%s") == len(parameters)
        self.statements.append(sql.replace("%s", "'2025-01-01'"))
        return [self.answer]


ASKED = Interval(date(2025, 1, 1), date(2025, 1, 2))


def changes_of(entity: Entity) -> Changes:
    landing = layout.landing_key(entity, layout.SNAPSHOT, datetime(2025, 1, 1, tzinfo=UTC), 0, "0" * 64)
    manifests = tuple(
        Manifest(
            entity=entity, batch_id=batch, interval=ASKED, landings={layout.SNAPSHOT: landing}, rules="", parent=None,
            days=tuple(ASKED.days()),
        )
        for batch in ("a", "b")
    )  # fmt: skip
    return Changes(head=2, batch_id="b", everything=False, manifests=manifests)


def test_every_statement_parses_as_redshift() -> None:
    connection = Recorder((0,))
    bookkeeping.create_tables(connection)  # type: ignore[arg-type]
    connection.answer = (2,)  # both tables are there
    bookkeeping.create_tables(connection)  # type: ignore[arg-type]
    assert sum("unit varchar(65535) not null" in statement for statement in connection.statements) == 1
    for entity in Entity:
        assert _apply(connection, entity, None, changes_of(entity)) == 0  # type: ignore[arg-type]
    connection.answer = ("2025-01-03",)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("deftunes.model.scope._gold_is_there", lambda _: True)
        scope = enqueue_scope(connection, ASKED, everything=False)  # type: ignore[arg-type]
    assert scope.days == (date(2025, 1, 1), date(2025, 1, 3))
    bookkeeping.clear_changes(connection, project="digest")  # type: ignore[arg-type]
    assert len(connection.statements) > 20
    for statement in connection.statements:
        assert sqlglot.parse(statement, dialect="redshift", error_level=sqlglot.ErrorLevel.RAISE)
        assert not any(word in statement for word in ("for update", "advisory", "analyze", "to_regclass"))


def test_an_address_without_a_database_is_bad_usage() -> None:
    with pytest.raises(BadUsageError, match="redshift://user:password@host:5439/database") as refused:
        open_warehouse("redshift://user:secret@host:5439")
    assert "secret" not in str(refused.value)


def test_the_password_reaches_dbt_unquoted() -> None:
    environment = open_warehouse("redshift://user:p%40ss@host/db").dbt_environment()
    assert environment["DBT_ENV_SECRET_WAREHOUSE_PASSWORD"] == "p@ss"
    assert environment["DEFTUNES_WAREHOUSE_PORT"] == "5439"
