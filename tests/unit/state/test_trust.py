"""What readers are told of runs: in SQL that Redshift understands too, for as long as is promised."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from deftunes.state import trust
from support.redshift import RecordingConnection

NOW = datetime(2025, 1, 31, 12, tzinfo=UTC)
RECORD = {
    "run_id": "r", "stage": "load", "entity": "users", "started_at": str(NOW), "ended_at": str(NOW), "result": {},
}  # fmt: skip


class _Lake:
    """Two runs of one day."""

    def keys(self, prefix: str, *, after: str) -> list[str]:
        assert after.startswith(prefix)
        return [f"{prefix}2025-01-31/1.json", f"{prefix}2025-01-31/2.json"]

    def get_json(self, key: str) -> dict[str, Any]:
        return RECORD | {"run_id": key[-6]}


def test_every_statement_parses_as_redshift() -> None:
    old = NOW - timedelta(days=40)
    connection = RecordingConnection(("runs/2024-12-22/0.json", "load", "users", 0, old, old, "done", "0"))
    trust._bring_runs(connection, _Lake(), NOW.date())  # type: ignore[arg-type]
    assert [statement.split()[0] for statement in connection.statements] == ["select", "insert", "delete"]
    connection.assert_redshift(at_least=3)


@pytest.mark.parametrize(
    ("record", "ending"),
    [
        ({"result": {}}, ("done", 0)),
        ({"result": {"nothing_new": True}}, ("nothing new", 0)),
        ({"error": "a message with a name in it", "exit": 1}, ("failed", 1)),
        ({"error": "", "exit": 2}, ("bad usage", 2)),
        ({"error": "", "exit": 3}, ("refused", 3)),
        ({"error": "", "exit": 75}, ("transient", 75)),
        ({"error": "", "exit": 99}, ("failed", 99)),
    ],
)
def test_an_ending_is_a_word_of_ours_and_a_code(record: dict[str, Any], ending: tuple[str, int]) -> None:
    assert trust.ending(record) == ending


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        ("price: expected at most 2 decimals, got 1.234", "price: expected at most 2 decimals"),
        ("user_since: expected an ISO 8601 instant, got text", "user_since: expected an ISO 8601 instant"),
        ("x: expected text, got 1, got 2\nand more", "x: expected text"),
        ('ColumnValues "price" <= 2', 'ColumnValues "price" <= 2'),
        ("several different records under one user_id", "several different records under one user_id"),
        ("x" * 300, "x" * 255),
    ],
)
def test_a_reason_is_told_without_what_came(reason: str, told: str) -> None:
    assert trust._without_value(reason) == told
