"""The dbt project and what stands around it say the same."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from deftunes.core import layout
from deftunes.core.entities import Entity
from deftunes.core.settings import REPOSITORY
from deftunes.state import bookkeeping
from deftunes.state import schema as declared
from support.gold import ALL_COLUMNS, SERVING

PROJECT = REPOSITORY / "dbt_modeling"


def properties(folder: str) -> dict[str, dict[str, Any]]:
    """Models by name, with what their yml says."""
    files = sorted((PROJECT / "models" / folder).glob("*.yml"))
    assert files
    return {model["name"]: model for file in files for model in yaml.safe_load(file.read_text()).get("models", ())}


def sources() -> dict[str, dict[str, list[str]]]:
    text = (PROJECT / "models/staging/_sources.yml").read_text()
    return {
        source["name"]: {table["name"]: [column["name"] for column in table["columns"]] for table in source["tables"]}
        for source in yaml.safe_load(text)["sources"]
    }


@pytest.mark.parametrize("entity", Entity)
def test_sources_have_silvers_columns_in_its_order(entity: Entity) -> None:
    assert tuple(sources()[layout.DATABASE][entity]) == declared.TABLES[entity].column_names


def test_sources_are_the_entities_and_the_notes() -> None:
    assert sources().keys() == {layout.DATABASE, layout.CONTROL_SCHEMA}
    assert set(sources()[layout.DATABASE]) == set(Entity)
    books = {f"{layout.CONTROL_SCHEMA}.{table}" for table in sources()[layout.CONTROL_SCHEMA]}
    assert books == {bookkeeping.CHANGED, bookkeeping.SHOWN, bookkeeping.HELD_BACK, bookkeeping.RUNS}


def test_schemas_are_those_of_the_layout() -> None:
    models = yaml.safe_load((PROJECT / "dbt_project.yml").read_text())["models"]["deftunes"]
    assert models["serving_layer"]["+schema"] == layout.SERVING_SCHEMA
    assert models["bi_views"]["+schema"] == layout.BI_SCHEMA


def test_every_model_is_described_grain_first_with_every_column() -> None:
    described = {**properties("serving_layer"), **properties("bi_views")}
    assert described.keys() == ALL_COLUMNS.keys()
    assert set(properties("bi_views")) == set(layout.BI_VIEWS)
    for name, model in {**described, **properties("staging")}.items():
        assert model["description"].startswith("One row per "), name
    for name, model in described.items():
        assert {column["name"] for column in model["columns"]} == set(ALL_COLUMNS[name]), name
        assert all(column.get("description") for column in model["columns"]), name


def test_every_key_of_the_fact_is_related_to_its_dimension() -> None:
    related = {
        column["name"]: test["relationships"]["arguments"]["to"]
        for column in properties("serving_layer")["fact_session"]["columns"]
        for test in column.get("data_tests", ())
        if "relationships" in test
    }
    assert related == {
        "user_key": "ref('dim_users')", "track_id": "ref('dim_songs')", "artist_id": "ref('dim_artists')"
    }  # fmt: skip


def test_every_bi_view_has_an_exposure() -> None:
    exposures = yaml.safe_load((PROJECT / "models/bi_views/_exposures.yml").read_text())["exposures"]
    shown = [view for exposure in exposures for view in exposure["depends_on"]]
    assert sorted(shown) == sorted(f"ref('{view}')" for view in layout.BI_VIEWS)


def sql_files() -> list[Path]:
    files = sorted((PROJECT / "models").rglob("*.sql"))
    assert files
    return files


@pytest.mark.parametrize("path", sql_files(), ids=lambda path: path.stem)
def test_a_model_names_no_schema_and_ends_in_final(path: Path) -> None:
    text = path.read_text()
    assert not re.search(r"\bdeftunes_\w+\.", text)
    assert text.rstrip().endswith("select * from final")
    # `select *` stands in import CTEs and at the very end only.
    stars = re.findall(r"select \* from (?!\{\{)(\S+)", text)
    assert stars == ["final"]


def test_views_of_sales_join_inner_and_count_nothing_distinct() -> None:
    for view in layout.SALES_VIEWS:
        text = (PROJECT / f"models/bi_views/{view}.sql").read_text().lower()
        assert "count(distinct" not in re.sub(r"--.*", "", text)
        assert not re.search(r"\b(left|right|full|outer|cross)\b", re.sub(r"--.*", "", text))


def test_plain_views_read_no_view() -> None:
    # One that is replaced takes along what was built on it, and the rights on that.
    for view in layout.TRUST_VIEWS:
        text = (PROJECT / f"models/bi_views/{view}.sql").read_text()
        assert "materialized='view'" in text
        assert not re.search(r"ref\('\w+_vw'\)", text)
        assert properties("bi_views")[view]["config"]["contract"]["enforced"] is True


def test_no_serving_model_is_a_table_of_dbts() -> None:
    # Replacing one drops it with cascade, and the BI views with it.
    models = yaml.safe_load((PROJECT / "dbt_project.yml").read_text())["models"]["deftunes"]
    assert models["serving_layer"]["+materialized"] == "incremental"
    assert models["serving_layer"]["+full_refresh"] is False
    for name in SERVING:
        assert "materialized" not in (PROJECT / f"models/serving_layer/{name}.sql").read_text()
