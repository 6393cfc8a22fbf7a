"""The tree is the diagram: rooms with walls, a file of its name in each stage for each entity, one name one thing."""

import ast
from collections import defaultdict
from importlib import import_module
from inspect import get_annotations, signature
from pathlib import Path
from typing import Any

import pytest

from deftunes.core.entities import Entity, entities_of
from deftunes.core.rules import load_ruleset
from deftunes.core.settings import REPOSITORY
from deftunes.core.stages import PipelineName, Stage
from deftunes.state.schema import TABLES

PACKAGE = REPOSITORY / "jobs" / "deftunes"
MODULES = sorted(PACKAGE.rglob("*.py"))
# Stages in which entities differ, and what the module of each entity must have there.
ENTRIES = {
    "core.entities": {"DECLARATION"},
    "extract": {"run"},
    "transform": {"prepare"},
    "load": {"replace_rows", "enqueue"},
}


def classes_of(module: Path) -> list[str]:
    tree = ast.parse(module.read_text("utf-8"))
    return [node.name for node in tree.body if isinstance(node, ast.ClassDef)]


def names_in_two_modules(found: dict[str, list[str]]) -> dict[str, list[str]]:
    """By class name, the modules that define it, where these are several."""
    places: dict[str, list[str]] = defaultdict(list)
    for module, names in found.items():
        for name in names:
            places[name].append(module)
    return {name: modules for name, modules in places.items() if len(modules) > 1}


def test_no_class_name_stands_for_two_things() -> None:
    found = {str(module.relative_to(PACKAGE)): classes_of(module) for module in MODULES}
    assert sum(map(len, found.values())) > 50
    assert names_in_two_modules(found) == {}
    assert names_in_two_modules({"a": ["Part"], "b": ["Part", "Other"]}) == {"Part": ["a", "b"]}


def test_few_modules_lie_beside_the_rooms() -> None:
    loose = {path.stem for path in PACKAGE.glob("*.py")}
    assert loose == {"__init__", "__main__", "job", "pipeline", "resources"}


@pytest.mark.parametrize("stage", Stage)
def test_every_stage_has_the_same_entry(stage: Stage) -> None:
    run = import_module(f"deftunes.{stage}.stage").run
    assert list(signature(run).parameters) == ["resources", "job"]
    assert get_annotations(run)["return"] is not None


@pytest.mark.parametrize("entity", Entity)
def test_an_entity_is_a_file_of_its_name_in_each_stage_where_entities_differ(entity: Entity) -> None:
    for room, names in ENTRIES.items():
        module: Any = import_module(f"deftunes.{room}.{entity}")
        assert names <= vars(module).keys(), module
    assert load_ruleset(entity, max_price="2").rules


def test_no_stage_has_a_module_of_an_entity_that_is_not_declared() -> None:
    for room in ENTRIES:
        files = {path.stem for path in PACKAGE.joinpath(*room.split(".")).glob("*s.py")}
        assert set(Entity) <= files
    rulesets = {path.stem for path in (PACKAGE / "quality" / "rulesets").glob("*.dqdl")}
    assert rulesets == set(Entity)


@pytest.mark.parametrize("entity", Entity)
def test_what_an_entity_declares_holds_together(entity: Entity) -> None:
    declared = entity.declaration
    names = [column.name for column in declared.columns]
    assert len(names) == len(set(names))
    assert set(declared.key) <= set(names)
    assert declared.record_key in declared.key
    assert {name for columns in declared.lookups for name in columns} <= set(names)
    assert TABLES[entity].column_names[: len(names)] == tuple(names)
    assert {column.name for column in declared.columns if column.required} >= set(declared.key)
    order = list(Entity)
    assert all(order.index(Entity(needed)) < order.index(entity) for needed in declared.needs)


def test_every_entity_is_in_one_pipeline() -> None:
    single = [name for name in PipelineName if name is not PipelineName.ALL]
    assert sorted(entity for name in single for entity in entities_of(name)) == sorted(Entity)
    assert entities_of(PipelineName.ALL) == tuple(Entity)
