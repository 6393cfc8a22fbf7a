"""`deftunes check`: what it proves, and what it says where a zone lacks what the one before it holds."""

from collections.abc import Callable, Iterator
from contextlib import closing
from decimal import Decimal
from typing import TYPE_CHECKING

import psycopg2
import pytest

from deftunes.core.entities import Entity, entities_of
from deftunes.core.errors import DeftunesError, RetriableError
from deftunes.core.stages import PipelineName, Stage
from deftunes.operations.check import Reconciliation, check
from support.pipeline import DAY, OPENING, Pipeline, interval, new_pipeline
from support.shop import Shop, open_shop

if TYPE_CHECKING:
    from support.stack import Stack

API = PipelineName.API
DAYS = (0, 2)


@pytest.fixture(scope="module")
def shop() -> Iterator[Shop]:
    with open_shop() as shop:
        shop.upsert_user(1)
        shop.sell(1, f"{OPENING}T12:00:00Z", 0.99, 1.29)
        shop.sell(2, f"{OPENING + DAY}T23:59:59.999999Z", 0.01)
        yield shop


@pytest.fixture(scope="module")
def pipeline(stack: "Stack", shop: Shop) -> Pipeline:
    return new_pipeline(stack, shop.url, songs=0, look_back=0)


def checked(pipeline: Pipeline, on_wait: Callable[[BaseException], None] | None = None) -> list[Reconciliation]:
    """What check says: at once, unless there is something to be done while it waits."""
    with pipeline.with_settings(lock_timeout=60 if on_wait else 0).resources() as resources:
        return list(check(resources, API, interval(DAYS), on_wait=on_wait or unexpected))


def unexpected(reason: BaseException) -> None:
    raise AssertionError(f"waited for: {reason}")


def test_each_zone_is_compared_with_the_one_before(pipeline: Pipeline) -> None:
    with pytest.raises(DeftunesError, match="expected a landing of users, found none") as failed:
        checked(pipeline)
    for entity in entities_of(API):
        pipeline.stage(Stage.EXTRACT, entity, DAYS)
    with pytest.raises(DeftunesError, match="expected main to hold the landings of users") as failed:
        checked(pipeline)
    assert failed.value.exit_code == 1
    with pytest.raises(DeftunesError, match=r"does not hold .*; run: deftunes publish users --start 2020-01-01"):
        pipeline.stage(Stage.LOAD, Entity.USERS, DAYS)  # demands the proof by itself
    pipeline.run(DAYS, API)
    pipeline.stage(Stage.EXTRACT, Entity.USERS, DAYS)
    users, sessions = checked(pipeline)
    assert users.sales is None
    assert sessions.sales == {"EUR": (3, Decimal("2.29"))}
    assert sessions.batch_id == {row["batch_id"] for row in pipeline.silver(Entity.SESSIONS)}.pop()


def test_a_published_batch_that_is_not_loaded_or_not_modelled(pipeline: Pipeline, shop: Shop) -> None:
    pipeline.run(DAYS, API)
    shop.later()
    shop.sell(3, f"{OPENING}T13:00:00Z", 0.5)
    pipeline.run_until_published(DAYS, API)
    with pytest.raises(RetriableError, match="expected the warehouse to hold batch"):
        checked(pipeline)
    pipeline.stage(Stage.LOAD, Entity.SESSIONS, DAYS)
    with pytest.raises(RetriableError, match="changes that it does not show"):
        checked(pipeline)
    pipeline.stage(Stage.MODEL, None, DAYS)
    assert checked(pipeline)[-1].sales == {"EUR": (4, Decimal("2.79"))}


def test_a_batch_that_another_run_is_modelling_is_waited_for(pipeline: Pipeline, shop: Shop) -> None:
    pipeline.run(DAYS, API)
    shop.later()
    shop.sell(4, f"{OPENING}T14:00:00Z", 0.25)
    pipeline.run_until_published(DAYS, API)
    pipeline.stage(Stage.LOAD, Entity.SESSIONS, DAYS)
    reasons: list[BaseException] = []

    def the_other_run_ends(reason: BaseException) -> None:
        reasons.append(reason)
        pipeline.stage(Stage.MODEL, None, DAYS)

    before = {entity.entity: entity.batch_id for entity in checked(pipeline, the_other_run_ends)}
    assert len(reasons) == 1
    assert "changes that it does not show" in str(reasons[0])
    assert before == {entity.entity: entity.batch_id for entity in checked(pipeline)}


def test_readers_see_how_the_last_check_ended_and_what_is_held_back(pipeline: Pipeline, shop: Shop) -> None:
    shop.later()
    shop.upsert_user(2, user_name=None)
    pipeline = pipeline.with_settings(max_rejected=1.0)
    pipeline.run(DAYS, API)
    checks = "select entity, outcome, exit_code from deftunes_bi_views.last_runs_vw where stage = 'check' order by 1"
    as_of = "select data_through, last_check_passed from deftunes_bi_views.data_as_of_vw"
    assert pipeline.query(as_of) == [(OPENING + DAY, None)]
    assert pipeline.command("check", "api", days=DAYS).returncode == 0
    assert pipeline.query(checks) == [("sessions", "done", 0), ("users", "done", 0)]
    assert pipeline.query(as_of) == [(OPENING + DAY, True)]
    held_back = "select entity, reason, records from deftunes_bi_views.records_held_back_vw"
    assert pipeline.query(held_back) == [("users", 'IsComplete "user_name"', 1)]
    assert pipeline.settings.warehouse_dsn
    with closing(psycopg2.connect(pipeline.settings.warehouse_dsn.get_secret_value())) as connection, connection:
        connection.cursor().execute("delete from deftunes_serving.fact_session where price = 0.01")
    assert pipeline.command("check", "api", days=DAYS).returncode == 1
    assert pipeline.query(checks) == [("sessions", "failed", 1), ("users", "done", 0)]
    assert pipeline.query(as_of) == [(OPENING + DAY, False)]


def test_gold_that_lost_a_sale_or_a_view_that_was_not_refreshed(pipeline: Pipeline) -> None:
    pipeline.run(DAYS, API)
    assert pipeline.settings.warehouse_dsn
    with closing(psycopg2.connect(pipeline.settings.warehouse_dsn.get_secret_value())) as connection, connection:
        connection.cursor().execute("delete from deftunes_serving.fact_session where price = 0.01")
    with pytest.raises(DeftunesError, match=r"same sales of .* in the silver and in the fact, got \d items"):
        checked(pipeline)
    with closing(psycopg2.connect(pipeline.settings.warehouse_dsn.get_secret_value())) as connection, connection:
        connection.cursor().execute(
            "update deftunes_serving.fact_session set price = price + 0.01 where session_date = %s", (OPENING,)
        )
        connection.cursor().execute("delete from deftunes_transform.sessions where price = 0.01")
        connection.cursor().execute("update deftunes_transform.sessions set price = price + 0.01")
    with pytest.raises(DeftunesError, match="in the fact, by month and in the view, by month"):
        checked(pipeline)


def test_the_command_line(pipeline: Pipeline) -> None:
    ended = pipeline.command("check", "songs", "--json", days=DAYS)
    assert ended.returncode == 1
    assert "expected a landing of songs" in ended.stderr
