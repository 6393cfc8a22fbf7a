"""The DQDL files: parsed whole, thresholds filled in, the kinds that the platform uses."""

from decimal import Decimal

import pytest

from deftunes.core.entities import Entity
from deftunes.core.rules import load_ruleset
from deftunes.state.schema import TABLES


@pytest.mark.parametrize("entity", Entity)
def test_every_rule_is_about_columns_of_silver(entity: Entity) -> None:
    rules = load_ruleset(entity, max_price=2).rules
    assert rules
    columns = set(TABLES[entity].column_names)
    assert all(columns.issuperset(rule.columns) for rule in rules)


def test_all_kinds_of_rules_are_used() -> None:
    kinds = {rule.kind for entity in Entity for rule in load_ruleset(entity, max_price=2).rules}
    assert kinds >= {"IsComplete", "ColumnLength", "Uniqueness", "ColumnValues"}


def test_a_threshold_is_filled_in_and_changes_the_identity() -> None:
    two, three = (load_ruleset(Entity.SESSIONS, max_price=Decimal(price)) for price in (2, 3))
    assert 'ColumnValues "price" <= 2' in two.to_dqdl()
    assert two.digest != three.digest
    assert load_ruleset(Entity.SESSIONS, max_price=Decimal(2)).digest == two.digest


def test_a_threshold_that_is_not_given_is_an_error() -> None:
    with pytest.raises(KeyError, match="max_price"):
        load_ruleset(Entity.SESSIONS)


def test_row_rules_of_some_columns_leave_out_the_rest_and_the_rules_of_the_whole() -> None:
    rules = load_ruleset(Entity.SESSIONS, max_price=2).row_rules(["session_id", "user_id", "item_number"])
    assert {rule.columns for rule in rules.rules} == {("session_id",), ("user_id",)}
    assert all(rule.is_row_rule for rule in rules.rules)
