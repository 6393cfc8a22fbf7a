"""The same SQL runs on Redshift: it compiles and runs through dbt without a warehouse, and each statement parses.

Stubbed is what only a warehouse knows: which relations there are, and, for the run, the connection itself.
"""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import sqlglot
from dbt.adapters.base import Column
from dbt.adapters.contracts.connection import AdapterResponse, Connection, ConnectionState
from dbt.adapters.redshift import RedshiftAdapter
from dbt.adapters.redshift.connections import RedshiftConnectionManager
from dbt.adapters.redshift.relation import RedshiftRelation
from dbt.cli.main import dbtRunner

from deftunes.core import layout
from deftunes.core.settings import REPOSITORY, exported
from support.gold import ALL_COLUMNS, SERVING

PROJECT = REPOSITORY / "dbt_modeling"
NOBODY = {
    "DEFTUNES_WAREHOUSE_HOST": "127.0.0.1",
    "DEFTUNES_WAREHOUSE_PORT": "9",
    "DEFTUNES_WAREHOUSE_DATABASE": "deftunes",
    "DEFTUNES_WAREHOUSE_USER": "nobody",
    "DBT_ENV_SECRET_WAREHOUSE_PASSWORD": "",
}
SCOPES = {
    "first": {"everything": True, "ranges": []},
    "daily": {"everything": False, "ranges": [["2025-01-31", "2025-02-01"], ["2025-03-01", "2025-03-03"]]},
}


@pytest.fixture(scope="module", params=SCOPES)
def kind(request: pytest.FixtureRequest) -> str:
    """The first run finds no relation, a daily one finds all."""
    return str(request.param)


@pytest.fixture(scope="module")
def compiled(kind: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Every model's and data test's SQL by name."""
    with _relations(kind):
        results = _dbt("compile", kind, str(tmp_path_factory.mktemp("compile")))
    return {result.node.name: result.node.compiled_code for result in results}


@pytest.fixture(scope="module")
def statements(kind: str, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Every statement that a run sends."""
    sent: list[str] = []
    with _relations(kind), _connection(sent):
        results = _dbt("run", kind, str(tmp_path_factory.mktemp("run")))
    assert {result.node.name for result in results} == ALL_COLUMNS.keys()
    return [re.sub(r"/\*.*?\*/", "", statement, flags=re.DOTALL).strip() for statement in sent]


def test_every_model_and_test_parses_as_redshift(compiled: dict[str, str]) -> None:
    assert set(ALL_COLUMNS) <= compiled.keys()
    assert len(compiled) > len(ALL_COLUMNS) + 8  # the data tests
    for name, statement in compiled.items():
        (tree,) = sqlglot.parse(statement, dialect="redshift")
        assert tree is not None, name


def test_serving_models_give_their_contracts_columns(compiled: dict[str, str]) -> None:
    for name in SERVING:
        assert tuple(_names(compiled[name])) == ALL_COLUMNS[name], name


def test_every_statement_of_a_run_parses_as_redshift(statements: list[str], kind: str) -> None:
    assert len(statements) > 40
    for statement in statements:
        assert sqlglot.parse(statement, dialect="redshift", error_level=sqlglot.ErrorLevel.RAISE)
    created = [statement for statement in statements if re.match("create view", statement)]
    assert len(created) == (len(layout.TRUST_VIEWS) if kind == "first" else 0)
    if kind == "daily":
        for table in SERVING:
            assert any(f'delete from "deftunes"."{layout.SERVING_SCHEMA}"."{table}"' in each for each in statements)
        for view in layout.SALES_VIEWS:
            assert f'refresh materialized view "deftunes"."{layout.BI_SCHEMA}"."{view}"' in statements


def test_nothing_is_sent_that_postgresql_alone_understands(statements: list[str]) -> None:
    words = re.compile(
        r"\b(lateral|collate|concurrently|set local|create (unique )?index|distinct on)\b", re.IGNORECASE
    )
    assert [statement for statement in statements if words.search(statement)] == []


def _dbt(command: str, kind: str, work: str) -> Any:
    with exported(NOBODY):
        outcome = dbtRunner().invoke(
            [
                *("--log-level", "none", "--log-level-file", "none", "--no-populate-cache", command),
                *("--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT), "--target", "redshift"),
                *("--target-path", work, "--log-path", work),
                *("--vars", json.dumps({"scope": SCOPES[kind]})),
            ]
        )
    assert outcome.success, outcome.exception or [result.message for result in outcome.result.results]
    return outcome.result.results


@contextmanager
def _relations(kind: str) -> Iterator[None]:
    def relation(adapter: RedshiftAdapter, database: str, schema: str, identifier: str) -> object:
        if kind == "first" or identifier not in ALL_COLUMNS:
            return None
        known = "table" if identifier in SERVING else "view"
        known = "materialized_view" if identifier in layout.SALES_VIEWS else known
        return adapter.Relation.create(database=database, schema=schema, identifier=identifier, type=known)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(RedshiftAdapter, "get_relation", relation)
        yield


@contextmanager
def _connection(sent: list[str]) -> Iterator[None]:
    class Cursor:
        description = None
        rowcount = 0

        def execute(self, statement: str, *_: object) -> None:
            sent.append(statement)

        def fetchone(self) -> list[int]:
            return [1]

    class Handle:
        autocommit = True
        cursor = Cursor

        def commit(self) -> None: ...

        def rollback(self) -> None: ...

        def close(self) -> None: ...

    def connect(_: object, connection: Connection) -> Connection:
        connection.handle, connection.state = Handle(), ConnectionState.OPEN
        return connection

    def columns(_: object, relation: Any) -> list[Column]:
        table = max((name for name in ALL_COLUMNS if relation.identifier.startswith(name)), key=len)
        return [Column(name, "text") for name in ALL_COLUMNS[table]]

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(RedshiftConnectionManager, "open", classmethod(connect))
        patched.setattr(
            RedshiftConnectionManager, "get_response", classmethod(lambda *_: AdapterResponse(_message="done"))
        )
        patched.setattr(RedshiftAdapter, "get_columns_in_relation", columns)
        patched.setattr(RedshiftAdapter, "get_column_schema_from_query", lambda *_: [Column("same", "text")])
        patched.setattr(RedshiftRelation, "materialized_view_config_changeset", classmethod(lambda *_, **__: None))
        yield


def _names(statement: str) -> list[str]:
    tree = sqlglot.parse_one(statement, dialect="redshift")
    final = next(cte for cte in tree.ctes if cte.alias == "final")
    return [column.alias_or_name for column in final.this.selects]
