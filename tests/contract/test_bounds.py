"""Every text has a bound that every warehouse can hold: in a column, and in the rows of every index."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from deftunes.core.entities import Entity
from deftunes.core.rules import load_ruleset
from deftunes.core.settings import REPOSITORY

BYTES_A_CHARACTER = 4  # UTF-8's most
REDSHIFT_VARCHAR = 65_535
# BTMaxItemSize of an 8 KiB page; compression may save a text, but need not.
POSTGRES_INDEX_ROW = 2_704
_HEADER, _NUMBER, _ALIGNMENT = 16, 8, 8
MODELS = REPOSITORY / "dbt_modeling" / "models"
# Columns of gold that no source sends, and how wide they are.
COMPUTED = {"user_key": 32, "release_decade": 12, "session_year": 0, "session_month": 0, "session_date": 0}


def bounds() -> dict[str, int]:
    """The most characters of each text, by column; the widest of its entities."""
    found: dict[str, int] = {}
    for entity in Entity:
        for rule in load_ruleset(entity, max_price=2).rules:
            if rule.kind == "ColumnLength":
                (column,) = rule.columns
                found[column] = max(found.get(column, 0), int(rule.text.rpartition(" ")[2]))
    return found


def indexes() -> Iterator[tuple[str, tuple[str, ...]]]:
    for entity in Entity:
        for columns in (entity.declaration.key, *entity.declaration.lookups):
            yield f"{entity}", columns
    for model in sorted(MODELS.rglob("*.sql")):
        for columns in _indexes_of(model):
            yield model.stem, columns


def _indexes_of(model: Path) -> Iterator[tuple[str, ...]]:
    for columns in re.findall(r"\{'columns': \[([^]]+)\]", model.read_text("utf-8")):
        yield tuple(re.findall(r"'(\w+)'", columns))


@pytest.mark.parametrize("entity", Entity)
def test_every_text_has_a_bound_that_redshift_holds(entity: Entity) -> None:
    texts = [name for name, type_ in entity.declaration.sent_types.items() if type_ == "string"]
    of_entity = {
        rule.columns[0]: int(rule.text.rpartition(" ")[2])
        for rule in load_ruleset(entity, max_price=2).rules
        if rule.kind == "ColumnLength"
    }
    assert len(texts) >= 5
    assert {name for name in texts if name not in of_entity} == set()
    assert all(bound * BYTES_A_CHARACTER <= REDSHIFT_VARCHAR for bound in of_entity.values())


def test_every_index_holds_the_longest_row() -> None:
    known = bounds()
    numbers = {column.name for entity in Entity for column in entity.declaration.columns if column.type != "string"}
    seen = list(indexes())
    assert len(seen) >= 18
    for name, columns in seen:
        size = _HEADER
        for column in columns:
            if column in numbers:
                size += _NUMBER
            elif column in COMPUTED:
                size += max(COMPUTED[column], _NUMBER) + _ALIGNMENT
            else:
                size += known[column] * BYTES_A_CHARACTER + _ALIGNMENT
        assert size <= POSTGRES_INDEX_ROW, (name, columns, size)
