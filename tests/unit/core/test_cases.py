"""Instants, records and rules read from text: every case in tests/cases/core."""

import json
from typing import Any

import pytest

from deftunes.core.interval import read_day, read_instant
from deftunes.core.records import canonical
from deftunes.core.rules import parse_rules
from support.cases import Case, cases


@pytest.mark.parametrize("case", cases("core/instants"))
def test_a_value_names_an_instant_and_its_utc_day_or_none(case: Case) -> None:
    value = json.loads(case.text("value.json"))
    instant, day = read_instant(value), read_day(value)

    assert day == (instant and instant.date())
    case.assert_expected({"instant": instant and instant.isoformat(), "day": day and day.isoformat()})


@pytest.mark.parametrize("case", cases("core/records"))
def test_two_records_have_equal_content_or_not(case: Case) -> None:
    case.assert_expected({"equal": canonical(case.record("one.json")) == canonical(case.record("other.json"))})


@pytest.mark.parametrize("case", cases("core/rules"))
def test_dqdl_text_is_rules_or_an_error(case: Case) -> None:
    case.assert_expected(parsed(case.text("rules.dqdl")))


def parsed(dqdl: str) -> dict[str, Any]:
    """The rules of a text, or the error that refuses it."""
    try:
        rules = parse_rules(dqdl)
    except ValueError as error:
        return {"error": str(error)}
    return {
        "rules": [
            {"text": rule.text, "kind": rule.kind, "columns": list(rule.columns), "is_row_rule": rule.is_row_rule}
            for rule in rules
        ]
    }
