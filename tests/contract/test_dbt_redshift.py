"""The same SQL runs on Redshift: the project compiles for it without a connection, and each statement parses.

Only the relation lookup is stubbed: whether a model is there already is the one thing that compiling asks a warehouse.
"""

import json

import pytest
import sqlglot
from dbt.adapters.redshift import RedshiftAdapter
from dbt.cli.main import dbtRunner

from deftunes.config import REPOSITORY, exported
from support.gold import COLUMNS, SERVING

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
def compiled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Every node's SQL by name, as Redshift would get it."""

    def relation(adapter: RedshiftAdapter, database: str, schema: str, identifier: str) -> object:
        if request.param == "first":
            return None
        return adapter.Relation.create(database=database, schema=schema, identifier=identifier, type="table")

    work = str(tmp_path_factory.mktemp("redshift"))
    with pytest.MonkeyPatch.context() as patched, exported(NOBODY):
        patched.setattr(RedshiftAdapter, "get_relation", relation)
        outcome = dbtRunner().invoke(
            [
                *("--log-level", "none", "--log-level-file", "none", "--no-populate-cache", "compile"),
                *("--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT), "--target", "redshift"),
                *("--target-path", work, "--log-path", work),
                *("--vars", json.dumps({"scope": SCOPES[request.param]})),
            ]
        )
    assert outcome.success, outcome.exception or [result.message for result in outcome.result.results]
    return {result.node.name: result.node.compiled_code for result in outcome.result.results}


def test_every_statement_parses_as_redshift(compiled: dict[str, str]) -> None:
    assert set(COLUMNS) <= compiled.keys()
    assert len(compiled) > len(COLUMNS) + 8  # the data tests
    for name, statement in compiled.items():
        (tree,) = sqlglot.parse(statement, dialect="redshift")
        assert tree is not None, name
        # What PostgreSQL alone understands must not be left over.
        assert "lateral" not in statement.lower(), name
        assert "collate" not in statement.lower(), name


def test_serving_models_give_their_contracts_columns(compiled: dict[str, str]) -> None:
    for name in SERVING:
        assert tuple(_names(compiled[name])) == COLUMNS[name], name


def _names(statement: str) -> list[str]:
    tree = sqlglot.parse_one(statement, dialect="redshift")
    final = next(cte for cte in tree.ctes if cte.alias == "final")
    return [column.alias_or_name for column in final.this.selects]
