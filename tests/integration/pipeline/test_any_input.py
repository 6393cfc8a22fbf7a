"""Verbs over real services with any day, any threshold, any SQL: an exit code of the table, and words."""

import json
from collections.abc import Iterator
from datetime import date, timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from support.shop import Shop, open_shop
from support.verbs import EXIT_CODES, Ended, run

if TYPE_CHECKING:
    from support.stack import Stack

FIRST, LAST = date(1900, 1, 1), date(2199, 12, 30)
# No transform and no quality: their JVM takes seconds, and their arguments are the same.
VERBS = st.sampled_from([
    ("extract", "users"), ("extract", "sessions"), ("publish", "users"), ("publish", "sessions"), ("load", "songs"),
    ("load", "sessions"), ("check", "api"), ("check", "songs"),
])  # fmt: skip
VALUES = st.sampled_from([
    "'NaN'::numeric", "'infinity'::timestamp", "date '0044-03-15 BC'", "array['NaN'::float8]", "E'\\001'", "'[/x]'",
    "'[red]x'", "repeat('é', 70000)", r"'\xff'::bytea", """'{"a": 1}'::jsonb""", "null", "1e300", "interval '1 month'",
])  # fmt: skip
SQL = st.text(max_size=20) | VALUES.map(lambda value: f'select {value} as "[/b]"')
QUICK = settings(max_examples=25, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def shop() -> Iterator[Shop]:
    with open_shop() as shop:
        yield shop


@pytest.fixture(scope="module")
def environment(stack: "Stack", shop: Shop) -> dict[str, str]:
    stack.reset()
    return {
        "DEFTUNES_HOME": str(stack.home),
        "DEFTUNES_API_URL": shop.url,
        "DEFTUNES_HTTP_BUDGET": "0",
        "DEFTUNES_LOCK_TIMEOUT": "0",
    }


def well(ended: Ended) -> None:
    assert ended.code in EXIT_CODES, ended
    assert "Traceback" not in ended.said
    assert "fault of deftunes" not in ended.said, ended
    assert ended.code == 0 or ended.stderr


@given(VERBS, st.dates(FIRST, LAST), st.integers(1, 3), st.integers(0, 9), st.booleans(), st.floats(0, 1))
@example(("extract", "sessions"), FIRST, 1, 9, True, 0.0)
@example(("extract", "sessions"), LAST, 1, 3650, True, 1.0)
@QUICK
def test_any_day(
    environment: dict[str, str],
    verb: tuple[str, str],
    start: date,
    days: int,
    look_back: int,
    as_json: bool,
    share: float,
) -> None:
    end = min(start + timedelta(days=days), date(2199, 12, 31))
    words = [*verb, "--start", str(start), "--end", str(end), *(["--json"] if as_json else [])]
    ended = run(words, {**environment, "DEFTUNES_LOOK_BACK": str(look_back), "DEFTUNES_MAX_SHRINK": str(share)})
    well(ended)
    if as_json:
        assert all(isinstance(json.loads(line), dict) for line in ended.stdout.splitlines())


@given(SQL, st.sampled_from(["table", "csv", "json"]))
@QUICK
def test_any_sql(environment: dict[str, str], sql: str, form: str) -> None:
    ended = run(["query", "--format", form, "--", sql], environment)
    well(ended)
    if form == "json" and ended.code == 0:
        json.loads(ended.stdout, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))


@pytest.mark.parametrize(
    "words",
    [
        ["status"],
        ["status", "--json"],
        ["quarantine", "list"],
        ["quarantine", "list", "users", "--limit", "1"],
        ["env"],
    ],
)
def test_verbs_without_a_choice(environment: dict[str, str], words: list[str]) -> None:
    ended = run(words, environment)
    well(ended)
    assert ended.code == 0
