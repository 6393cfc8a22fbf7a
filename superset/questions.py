"""What a question to a dataset names: the columns, metrics and expressions of it that reach the database as SQL."""

from collections.abc import Iterator
from typing import Any

# The fields of a chart of the old kind, which sends its form instead of a question.
_FORM_TERMS = (
    "all_columns", "columns", "entity", "groupby", "metric", "metrics", "percent_metrics", "secondary_metric", "series",
    "timeseries_limit_metric",
)  # fmt: skip
_SQL = ("where", "having")


def terms_of(question: Any) -> Iterator[str]:
    """All terms of Superset's query context, or of a chart of the old kind; an expression as its text."""
    if hasattr(question, "queries"):
        for query in question.queries:
            yield from _query_terms(query)
    else:
        yield from _form_terms(question.form_data)


def _query_terms(query: Any) -> Iterator[str]:
    yield from (_term(term) for term in [*(query.metrics or []), *(query.columns or [])])
    yield from (_term(term) for term, _ in query.orderby or [])
    yield from (_term(one["col"]) for one in query.filter or [])
    yield from (text for text in ((query.extras or {}).get(key) for key in _SQL) if text)
    if query.series_limit_metric:
        yield _term(query.series_limit_metric)


def _form_terms(form: dict[str, Any]) -> Iterator[str]:
    for key in _FORM_TERMS:
        wanted = form.get(key) or []
        yield from (_term(term) for term in (wanted if isinstance(wanted, list) else [wanted]))
    yield from (form[key] for key in _SQL if form.get(key))
    for one in [*(form.get("adhoc_filters") or []), *(form.get("extra_filters") or [])]:
        is_sql = one.get("expressionType") == "SQL"
        yield str(one.get("sqlExpression") if is_sql else one.get("subject", one.get("col")))


def _term(term: Any) -> str:
    """An axis comes as an expression that is a column's name, a metric of one's own as its aggregate."""
    if isinstance(term, str):
        return term
    column = (term.get("column") or {}).get("column_name")
    return str(term.get("sqlExpression") or f"{term.get('aggregate')}({column})")
