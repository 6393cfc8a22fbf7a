"""`deftunes backfill`: what is finished is skipped, what was not over yet is asked for again."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from deftunes.cli import stages
from deftunes.cli.app import app
from deftunes.core import layout
from deftunes.core.interval import midnight
from support.pipeline import DAY, OPENING, Days, Pipeline, interval, new_pipeline
from support.shop import Shop, open_shop

if TYPE_CHECKING:
    from support.stack import Stack


@pytest.fixture
def shop() -> Iterator[Shop]:
    with open_shop() as shop:
        shop.upsert_user(1)
        yield shop


@pytest.fixture
def pipeline(stack: "Stack", shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    pipeline = new_pipeline(stack, shop.url, songs=0, look_back=0)
    monkeypatch.setattr(stages, "open_resources", lambda *_: pipeline.resources())
    return pipeline


def backfill(days: Days) -> list[dict[str, Any]]:
    """The command in this process, two days a chunk; returns what it printed."""
    asked = interval(days)
    arguments = ("api", "--start", asked.start, "--end", asked.end, "--chunk", 2, "--json")
    ended = CliRunner().invoke(app, ["backfill", *map(str, arguments)], catch_exceptions=False)
    assert ended.exit_code == 0
    return [json.loads(line) for line in ended.stdout.splitlines()]


def test_days_that_were_not_over_are_asked_for_again_and_finished_chunks_are_not(
    pipeline: Pipeline, shop: Shop
) -> None:
    shop.now = datetime(2020, 1, 3, 13, tzinfo=UTC)  # on the first day of the second chunk
    shop.sell(1, f"{OPENING}T12:00:00Z", 0.99)
    shop.sell(2, f"{OPENING + 2 * DAY}T12:00:00Z", 0.99)
    assert backfill((0, 4))[-1] == backfill_end(unfinished=1)
    assert len(pipeline.silver("sessions")) == 2

    shop.sell(3, f"{OPENING}T13:00:00Z", 0.5)  # a late one; the chunk of its day is finished
    shop.sell(4, f"{OPENING + 2 * DAY}T14:00:00Z", 0.5)
    shop.sell(5, f"{OPENING + 3 * DAY}T12:00:00Z", 0.5)
    shop.now = midnight(OPENING + 4 * DAY)
    printed = backfill((0, 4))
    asked = [line["interval"] for line in printed if line.get("entity") == "sessions" and line["stage"] == "extract"]
    assert len(asked) == 1
    assert printed[-1] == backfill_end(unfinished=0)
    sold = {row["session_start_time"] for row in pipeline.silver("sessions")}
    assert len(sold) == 4
    assert datetime(2020, 1, 1, 13, tzinfo=UTC) not in sold
    assert pipeline.query(f"select count(*) from {layout.SERVING_SCHEMA}.fact_session") == [(4,)]

    assert backfill((0, 4)) == [backfill_end(unfinished=0)]


def backfill_end(*, unfinished: int) -> dict[str, Any]:
    bounds = interval((0, 4))
    return {
        "backfill": "api",
        "chunks": 2,
        "unfinished": unfinished,
        "interval": [str(bounds.start), str(bounds.end)],
    }
