"""What dbt says of a failure, in its messages and in its log: never a row."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from deftunes.adapters.dbt import Project
from deftunes.adapters.warehouse_drivers import open_warehouse
from support.warehouse import PROJECT

if TYPE_CHECKING:
    from support.stack import Stack

# The addresses are put together in the warehouse: dbt's log may show the SQL.
TWICE = """{{ config(materialized='table', indexes=[{'columns': ['email'], 'unique': true}]) }}
select 'someone' || '@b.example' as email from generate_series(1, 2)
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    folder = tmp_path / "project"
    (folder / "models").mkdir(parents=True)
    shutil.copy(PROJECT / "profiles.yml", folder)
    (folder / "dbt_project.yml").write_text(
        "{name: few, version: 1.0.0, config-version: 2, profile: deftunes, flags: {send_anonymous_usage_stats: false}}"
    )
    (folder / "models" / "people.sql").write_text(TWICE)
    return Project(folder, tmp_path / "work", "local")


def test_a_unique_violation_quotes_no_row(stack: "Stack", project: Project) -> None:
    assert stack.settings.warehouse_dsn
    warehouse = open_warehouse(stack.settings.warehouse_dsn.get_secret_value())
    built = project.build(warehouse.dbt_environment(), full_refresh=False)
    (failed,) = built.failed
    assert "could not create unique index" in failed.message
    log = project.log.read_text()
    assert "could not create unique index" in log
    assert "someone@" not in failed.message + log
