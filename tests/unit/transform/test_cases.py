"""A record of the API as text -> typed rows and what is wrong with them: every case in tests/cases/transform."""

import json
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from deftunes.core.entities import Entity
from deftunes.core.records import content_digest
from deftunes.transform.conform import session_rows, user_rows
from support.cases import Case, cases

# Columns of every row beside those that the source sent.
_COMPUTED = {"item_count": "int", "unknown": "array<string>", "problems": "array<string>"}
_PYTHON = {"string": str, "int": int, "boolean": bool, "timestamp": datetime, "array": list, "decimal": Decimal}


@pytest.mark.parametrize("case", cases("transform/sessions"))
def test_a_session_becomes_typed_rows(case: Case) -> None:
    case.assert_expected(readable_rows(session_rows, Entity.SESSIONS, case.record()))


@pytest.mark.parametrize("case", cases("transform/users"))
def test_a_user_becomes_a_typed_row(case: Case) -> None:
    case.assert_expected(readable_rows(user_rows, Entity.USERS, case.record()))


def readable_rows(
    conform: Callable[[str], Iterable[Mapping[str, Any]]], entity: Entity, record: bytes
) -> list[dict[str, Any]]:
    """The rows as JSON has them; each carries the record's digest, the first one alone the record itself."""
    rows = [dict(row) for row in conform(record.decode())]
    assert rows
    assert [row.pop("digest") for row in rows] == [content_digest(record)] * len(rows)
    assert rows[0].pop("record") == record.decode()
    for row in rows:  # the one is lines of a text there, the other a JSON array
        row["problems"] = row["problems"].split("\n") if row["problems"] else []
        if "unknown" in row:
            row["unknown"] = json.loads(row["unknown"] or "[]")
    types = {**entity.declaration.sent_types, **_COMPUTED}
    return [{name: readable(value, types[name]) for name, value in row.items()} for row in rows]


def readable(value: Any, declared: str) -> Any:
    """A value of a column of this type: decimals as text with all their digits, instants in ISO 8601."""
    if value is None:
        return None
    kind = declared.partition("(")[0].partition("<")[0]
    assert type(value) is _PYTHON[kind], f"{value!r} is no {declared}"
    if isinstance(value, datetime):
        assert value.tzinfo is UTC
        return value.isoformat()
    return str(value) if isinstance(value, Decimal) else value
