"""Every part of a question that becomes SQL is named, so that a reader's can be compared with the dataset."""

from types import SimpleNamespace
from typing import Any

import pytest

from questions import terms_of

NOTHING = {
    "metrics": None,
    "columns": None,
    "orderby": None,
    "filter": None,
    "extras": None,
    "series_limit_metric": None,
}
OWN = {"expressionType": "SQL", "sqlExpression": "sum(total_sales)"}
SIMPLE = {"expressionType": "SIMPLE", "aggregate": "SUM", "column": {"column_name": "total_sales"}}


def query(**parts: Any) -> SimpleNamespace:
    return SimpleNamespace(queries=[SimpleNamespace(**{**NOTHING, **parts})])


def form(**parts: Any) -> SimpleNamespace:
    return SimpleNamespace(form_data=parts)


@pytest.mark.parametrize(
    ("question", "terms"),
    [
        (query(), []),
        (query(metrics=["sales"], columns=["country_code"]), ["sales", "country_code"]),
        (query(metrics=[OWN]), ["sum(total_sales)"]),
        (query(metrics=[SIMPLE]), ["SUM(total_sales)"]),
        (query(columns=[{"sqlExpression": "session_date", "label": "day"}]), ["session_date"]),
        (query(orderby=[("sales", False), (OWN, True)]), ["sales", "sum(total_sales)"]),
        (query(filter=[{"col": "user_id", "op": "==", "val": "1"}]), ["user_id"]),
        (query(extras={"where": "1 = 1", "having": "sum(x) > 1"}), ["1 = 1", "sum(x) > 1"]),
        (query(series_limit_metric=OWN), ["sum(total_sales)"]),
        (form(metric="sales", entity="country_code"), ["country_code", "sales"]),
        (form(metrics=[OWN], groupby=["user_id"]), ["user_id", "sum(total_sales)"]),
        (form(where="1 = 1"), ["1 = 1"]),
        (form(adhoc_filters=[{"expressionType": "SQL", "sqlExpression": "version() = ''"}]), ["version() = ''"]),
        (form(adhoc_filters=[{"expressionType": "SIMPLE", "subject": "user_id"}]), ["user_id"]),
        (form(extra_filters=[{"col": "user_id"}]), ["user_id"]),
    ],
)
def test_all_terms_are_named(question: Any, terms: list[str]) -> None:
    assert list(terms_of(question)) == terms
