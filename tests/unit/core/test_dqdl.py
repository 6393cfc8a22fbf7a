"""DQDL as SQL: the forms that are compiled, those that are refused, and what comes back from a query.

Whether the SQL judges as Deequ does is shown in `tests/integration/quality/test_dqdl_against_deequ.py`.
"""

from decimal import Decimal

import pytest

from deftunes.core.dqdl import NotCompiledError, audit_query, broken, outcomes, row_predicate, texts
from deftunes.core.entities import Entity
from deftunes.core.errors import DeftunesError
from deftunes.core.rules import Rule, RuleOutcome, Ruleset, load_ruleset, parse_rules
from deftunes.state.schema import TABLES


def rule(text: str) -> Rule:
    (parsed,) = ruleset(text).rules
    return parsed


def ruleset(*rules: str) -> Ruleset:
    return Ruleset(Entity.SONGS, parse_rules("\n".join(("Rules = [", *rules, "]"))))


@pytest.mark.parametrize(
    ("text", "predicate"),
    [
        ('IsComplete "user_id"', "user_id is not null"),
        ('ColumnLength "user_id" = 36', "coalesce(length(user_id) = 36, true)"),
        ('ColumnLength "user_id"<=255', "coalesce(length(user_id) <= 255, true)"),
        ('ColumnValues "price" >= 0', "coalesce(price >= 0, false)"),
        ('ColumnValues "price" <= 1.995', "coalesce(price <= 1.995, false)"),
        ('ColumnValues "price" != -2', "coalesce(price <> -2, true)"),
        ('ColumnValues "price" between -2 and 2.50', "coalesce(price > -2 and price < 2.50, false)"),
        ('ColumnValues "currency" = "EUR"', "coalesce(currency = 'EUR', false)"),
        ('ColumnValues "currency" != "EUR"', "coalesce(currency <> 'EUR', true)"),
        (r'ColumnValues "id" matches "[^\x00]*"', "coalesce(id <> '' and not contains(id, chr(0)), false)"),
        (
            r'ColumnValues "id" matches "[^\\b]*"',
            "coalesce(id <> '' and not contains(id, chr(92)) and not contains(id, chr(98)), false)",
        ),
    ],
)  # fmt: skip
def test_a_rule_about_a_row_is_a_predicate(text: str, predicate: str) -> None:
    assert row_predicate(rule(text)) == predicate


REFUSED_OF_A_ROW = [
    'IsComplete "user_id" where "price > 0"',
    'IsComplete "user_id" and IsComplete "track_id"',
    'IsComplete "user_id" "track_id"',
    "IsComplete",
    'Completeness "user_id" > 0.9',
    'IsUnique "user_id"',
    'ColumnLength "user_id" != 36',
    'ColumnLength "user_id" between 1 and 36',
    'ColumnLength "user_id" in [1, 2]',
    'ColumnLength "user_id" = 1.5',
    'ColumnLength "user_id" = 03',
    'ColumnLength "user_id" = 36 with threshold > 0.9',
    'ColumnValues "price" in [1, 2]',
    'ColumnValues "price" not in [1, 2]',
    'ColumnValues "price" not between 1 and 2',
    'ColumnValues "price" = 1 with threshold > 0.9',
    'ColumnValues "price" <= 1234567890123456',
    'ColumnValues "price" between 0 and 0.1234567890123456',
    'ColumnValues "price" <= 1E+3',
    'ColumnValues "price" <= .5',
    'ColumnValues "price" <= ٣',
    'ColumnValues "price" = NULL',
    'ColumnValues "liked" = true',
    'ColumnValues "currency" = ""',
    'ColumnValues "currency" = "EU\'R"',
    r'ColumnValues "currency" = "EU\R"',
    'ColumnValues "user_since" > "2026-01-31"',
    'ColumnValues "user_since" = "2026-01-31"',
    'ColumnValues "user_since" > (now() - 3 days)',
    'ColumnValues "user_id" not matches "[^a]*"',
    'ColumnValues "user_id" matches "[a]*"',
    'ColumnValues "user_id" matches "[^a]+"',
    'ColumnValues "user_id" matches "[^a-z]*"',
    'ColumnValues "user_id" matches "[^a&&b]*"',
    r'ColumnValues "user_id" matches "[^\s]*"',
    r'ColumnValues "user_id" matches "[^\x{41}]*"',
    'ColumnValues "user_id" matches "[^é]*"',
    'ColumnValues "user_id" matches "[^]*"',
    *(rf'ColumnValues "user_id" matches "[^a\x{code}]*"' for code in ("0a", "0D", "85")),
    *(f'IsComplete "{name}"' for name in ("User", "user id", "user-id", "1st", "a.b", "é", "null", "true", "false")),
]


@pytest.mark.parametrize("text", REFUSED_OF_A_ROW)
def test_any_other_is_refused(text: str) -> None:
    with pytest.raises(NotCompiledError) as refused:
        row_predicate(rule(text))
    assert text in str(refused.value)
    assert "DEFTUNES_ENGINE=spark" in str(refused.value)
    assert isinstance(refused.value, DeftunesError)


REFUSED_OF_A_BATCH = [
    'Uniqueness "user_id" != 1',
    'Uniqueness "user_id" between 0 and 1',
    'Uniqueness "user_id" "track_id" > 0.5',
    'Uniqueness "user_id" > 0.5 where "price > 0"',
    'Uniqueness "user_id"',
    'IsPrimaryKey "user_id" > 1',
    'IsPrimaryKey "user_id" "Track"',
    "IsPrimaryKey",
    'IsUnique "user_id"',
    "RowCount > 0",
]


@pytest.mark.parametrize("text", [*REFUSED_OF_A_ROW, *REFUSED_OF_A_BATCH])
def test_no_audit_leaves_out_a_rule(text: str) -> None:
    with pytest.raises(NotCompiledError):
        audit_query(ruleset('IsComplete "user_id"', text), "batch")


@pytest.mark.parametrize("entity", Entity)
def test_the_rules_of_the_platform_are_all_compiled_over_types_for_which_it_holds(entity: Entity) -> None:
    rules = load_ruleset(entity, max_price=Decimal("2.5"))
    assert audit_query(rules, "batch").count(" as broken_") == sum(rule.is_row_rule for rule in rules.rules) >= 6
    assert broken(rules).count("case when") == sum(rule.is_row_rule for rule in rules.rules)
    types = {column.name: column.type for column in TABLES[entity].columns}
    for rule in rules.rules:
        of_texts = rule.kind == "ColumnLength" or '" matches' in rule.text
        numbers = () if of_texts or rule.kind != "ColumnValues" else ("int", "bigint", "decimal(12,2)", "decimal(11,8)")
        for column in rule.columns:
            allowed = ("string",) if of_texts else numbers or set(types.values()) - {"double"}
            assert types[column] in allowed, rule.text


def test_a_row_names_the_rules_that_it_breaks_by_their_numbers() -> None:
    rules = ruleset('IsComplete "a"', 'IsPrimaryKey "a"', r'ColumnValues "b" matches "[^\x00]*"')
    sql = broken(rules)
    assert sql == (
        "case when not (a is not null) then '1' end, "
        "case when not (coalesce(b <> '' and not contains(b, chr(0)), false)) then '3' end"
    )
    assert broken(ruleset('IsPrimaryKey "a"')) == broken(ruleset()) == "cast(null as string)"


def test_numbers_become_the_texts_of_rules_and_each_reason_is_given_once() -> None:
    rules = ruleset('IsComplete "a"', 'IsPrimaryKey "a"', r'ColumnValues "b" matches "[^\x00]*"', 'IsComplete "a"')
    assert texts(rules, "") == ()
    assert texts(rules, "no JSON") == ("no JSON",)
    assert texts(rules, "price: no number\n3\n1\nprice: no number\n4") == (
        "price: no number", r'ColumnValues "b" matches "[^\x00]*"', 'IsComplete "a"',
    )  # fmt: skip


@pytest.mark.parametrize("number", ["0", "2", "17"])
def test_a_number_without_a_rule_is_an_error(number: str) -> None:
    with pytest.raises(KeyError, match=number):
        texts(ruleset('IsComplete "a"'), number)


def test_a_batch_that_fails_is_told_with_figures() -> None:
    rules = ruleset(
        'IsComplete "a"', 'ColumnLength "a" = 3', 'ColumnLength "b" = 3', 'Uniqueness "a" > 0.9', 'IsPrimaryKey "a"',
        'IsPrimaryKey "a" "b"', 'IsPrimaryKey "c" "d"', 'IsPrimaryKey "c"',
    )  # fmt: skip
    figures = {
        "total": 400, "broken_1": Decimal(3), "broken_2": 0, "there_2": 397, "broken_3": 0, "there_3": 0,
        "there_4": 397, "once_4": 300, "there_5": 397, "once_5": 300, "there_6": 399, "once_6": 399,
        "there_7": 0, "once_7": 0, "there_8": 390, "once_8": 390,
    }  # fmt: skip
    assert [(outcome.passed, outcome.detail) for outcome in outcomes(rules, figures)] == [
        (False, "3 of 400 rows"),
        (True, ""),
        (False, "400 of 400 rows are NULL"),
        (False, "300 of 397 values occur once (75.57%)"),
        (False, "97 of 400 rows share their key"),
        (True, ""),
        (False, "400 of 400 rows are NULL"),
        (False, "10 of 400 rows are NULL"),
    ]
    assert [outcome.rule for outcome in outcomes(rules, figures)] == [rule.text for rule in rules.rules]


def test_an_empty_batch_passes() -> None:
    rules = ruleset('IsComplete "a"', 'Uniqueness "a" > 0.9')
    figures = {"total": 0, "broken_1": 0, "there_2": 0, "once_2": 0}
    assert outcomes(rules, figures) == [RuleOutcome(rule.text, True, "no rows") for rule in rules.rules]
