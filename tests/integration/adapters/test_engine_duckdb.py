"""The embedded engine at its limits: rules it cannot judge by, too little memory, other runs at the same time."""

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from deftunes.adapters.catalog import Refs, silver_table
from deftunes.adapters.engine_duckdb import DuckDbEngine
from deftunes.core.dqdl import NotCompiledError
from deftunes.core.engine import BranchWrite
from deftunes.core.entities import Entity
from deftunes.core.errors import DeftunesError, RetriableError
from deftunes.core.rules import Rule, Ruleset
from deftunes.core.stages import Stage
from deftunes.job import Job
from deftunes.pipeline import Outcome, execute, plan, write_audit_publish
from deftunes.resources import Resources
from deftunes.state.batches import complete_head
from support.batches import land_step

if TYPE_CHECKING:
    from pyiceberg.table import Table
    from pyspark.sql import SparkSession

    from support.stack import Stack

WORLDS = 5
NOT_COMPILED = (
    Rule('ColumnValues "currency" in ["USD", "EUR"]', "ColumnValues", ("currency",)),
    Rule("RowCount > 0", "RowCount", ()),
    Rule('ColumnValues "currency" matches "[A-Z]{3}"', "ColumnValues", ("currency",)),
)


def publish(resources: Resources, entity: Entity, step: int) -> list[Outcome]:
    window = land_step(resources.lake, entity, 7, WORLDS, step)
    return list(write_audit_publish(resources, Job(entity=entity, window=window)))


def written(resources: Resources) -> tuple[list[str], list[str]]:
    """The lake's objects but landings and runs, and the branches of all tables."""
    keys = [key for key in resources.lake.keys("") if not key.startswith(("landing/", "runs/"))]
    branches = [name for entity in Entity for name in Refs(silver_table(resources.catalog, entity)).branches()]
    return keys, branches


@pytest.mark.parametrize("rule", NOT_COMPILED, ids=lambda rule: rule.text)
def test_a_rule_outside_the_compiled_kinds_is_refused_before_anything_is_written(
    stack: "Stack", monkeypatch: pytest.MonkeyPatch, rule: Rule
) -> None:
    resources = Resources(stack.reset(max_rejected=1.0, engine="embedded"))
    monkeypatch.setattr(Resources, "rules", lambda _, entity: Ruleset(entity, (rule,)))
    land_step(resources.lake, Entity.SESSIONS, 7, WORLDS, 0)
    before = written(resources)
    with pytest.raises(NotCompiledError, match="DEFTUNES_ENGINE=spark") as refused:
        publish(resources, Entity.SESSIONS, 0)
    assert rule.text in str(refused.value)
    assert written(resources) == before


def test_spark_judges_by_it(stack: "Stack", spark: "SparkSession", monkeypatch: pytest.MonkeyPatch) -> None:
    resources = Resources(stack.reset(max_rejected=1.0, engine="spark"))
    resources.__dict__["spark"] = spark
    rules = resources.rules(Entity.SESSIONS)
    monkeypatch.setattr(Resources, "rules", lambda _, entity: Ruleset(entity, (*rules.rules, NOT_COMPILED[1])))
    stages = [outcome.stage for outcome in publish(resources, Entity.SESSIONS, 0)]
    assert stages == [Stage.TRANSFORM, Stage.QUALITY, Stage.PUBLISH]


def test_too_little_memory_has_words_and_leaves_nothing(
    stack: "Stack", monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    resources = Resources(stack.reset(max_rejected=1.0, engine="embedded", engine_memory="1m"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(DeftunesError, match=r"DEFTUNES_ENGINE_MEMORY \(1m\).*Nothing was published"):
        publish(resources, Entity.SESSIONS, 0)
    assert Refs(silver_table(resources.catalog, Entity.SESSIONS)).main is None
    assert list(tmp_path.iterdir()) == []


def take_the_branch(table: "Table", write: BranchWrite) -> None:
    """As another run of the same batch does in that moment."""
    assert write.base
    table.manage_snapshots().create_branch(write.base, write.branch).commit()


def move_main(table: "Table", _: BranchWrite) -> None:
    """As another run's publish does."""
    rows = table.scan().to_arrow()
    with table.transaction() as transaction:
        transaction.append(rows.slice(0, 1))


@pytest.mark.parametrize("meanwhile", [take_the_branch, move_main])
@pytest.mark.parametrize("entity", Entity)
def test_another_run_between_reading_and_writing(
    stack: "Stack", monkeypatch: pytest.MonkeyPatch, entity: Entity, meanwhile: "Callable[[Table, BranchWrite], None]"
) -> None:
    resources = Resources(stack.reset(max_rejected=1.0, engine="embedded"))
    publish(resources, entity, 0)
    commit = DuckDbEngine._commit

    def commit_late(engine: DuckDbEngine, write: BranchWrite, properties: dict[str, str]) -> None:
        table = engine._table(write.table)
        other = engine._table(write.table)
        monkeypatch.setattr(engine, "_table", lambda _: table)
        meanwhile(other, write)
        commit(engine, write, properties)

    monkeypatch.setattr(DuckDbEngine, "_commit", commit_late)
    job = Job(entity=entity, window=land_step(resources.lake, entity, 7, WORLDS, 1))
    batch = plan(resources, job)
    with pytest.raises(RetriableError, match=f"another run changed {entity} meanwhile; nothing was published"):
        execute(Stage.TRANSFORM, resources, replace(job, batch=batch))
    assert complete_head(Refs(silver_table(resources.catalog, entity)), batch) is None
    monkeypatch.undo()
    stages = [outcome.stage for outcome in write_audit_publish(resources, job)]
    assert stages == [Stage.TRANSFORM, Stage.QUALITY, Stage.PUBLISH]
