"""What an index or a required column holds has a bound that every warehouse can hold."""

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
COMPUTED = {
    "user_key": 32, "release_decade": 12, "session_year": 0, "session_month": 0, "session_date": 0, "sessions": 0
}  # fmt: skip


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


# NULL in no accepted row, by IsComplete or by conforming: five parts of a location, each of them there.
LOCATION = {"place_name", "country_code", "timezone"}


@pytest.mark.parametrize("entity", Entity)
def test_exactly_the_texts_that_are_never_null_have_a_bound_that_redshift_holds(entity: Entity) -> None:
    """Deequ fails a length for every row where the column is all NULL: such a rule would reject whole batches."""
    rules = load_ruleset(entity, max_price=2).rules
    texts = {name for name, type_ in entity.declaration.sent_types.items() if type_ == "string"}
    complete = {rule.columns[0] for rule in rules if rule.kind == "IsComplete"} | LOCATION
    bounded = {rule.columns[0]: int(rule.text.rpartition(" ")[2]) for rule in rules if rule.kind == "ColumnLength"}
    assert len(bounded) >= 3
    assert set(bounded) == texts & complete
    assert all(bound * BYTES_A_CHARACTER <= REDSHIFT_VARCHAR for bound in bounded.values())


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
