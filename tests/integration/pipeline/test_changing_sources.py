"""What becomes of silver and gold when a source changes its mind, breaks, or is validated by other rules.

One history for all tests, each with days (sessions, users) of its own.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import psycopg2
import pytest

from deftunes.adapters.catalog import silver_table
from deftunes.core import layout
from deftunes.core.entities import Column, Entity
from deftunes.core.errors import DeftunesError, RefusedError, RetriableError
from deftunes.core.rules import Ruleset, parse_rules
from deftunes.core.stages import ExtractOptions, PipelineName, Stage
from deftunes.job import Job
from deftunes.operations.maintain import maintain
from deftunes.pipeline import execute, plan, run_window, write_audit_publish
from deftunes.resources import Resources
from deftunes.state import schema
from deftunes.transform import sessions, stage
from support.api import Reply
from support.gold import assert_gold_matches_silver
from support.ids import session_id, user_id
from support.pipeline import DAY, OPENING, Pipeline, interval, new_pipeline
from support.shop import Shop, open_shop

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from support.stack import Stack

API = PipelineName.API


@pytest.fixture(scope="module")
def shop() -> Iterator[Shop]:
    with open_shop() as shop:
        shop.upsert_user(1)
        yield shop


@pytest.fixture(scope="module")
def pipeline(stack: "Stack", spark: "SparkSession", shop: Shop) -> Pipeline:
    # So few records shrink by a half at once.
    return new_pipeline(stack, shop.url, songs=40, look_back=0, max_shrink=1.0, spark=spark)


def at(day: int, time: str = "12:00:00") -> str:
    return f"{OPENING + day * DAY}T{time}Z"


def days_of(pipeline: Pipeline, number: int) -> list[timedelta]:
    """The day, since the opening, of each item that silver has of a session."""
    rows = [row for row in pipeline.silver("sessions") if row["session_id"] == session_id(number)]
    return [row["session_start_time"].date() - OPENING for row in rows]


def assert_gold_follows(pipeline: Pipeline) -> None:
    with pipeline.resources() as resources:
        assert_gold_matches_silver(resources.warehouse, {entity: pipeline.silver(entity) for entity in Entity})


def test_a_session_that_moves_is_in_one_day_and_in_gold_once(pipeline: Pipeline, shop: Shop) -> None:
    shop.sell(1, at(1), 0.99, 0.99)
    shop.sell(2, at(1), 1.29)
    pipeline.run((1, 3), API)
    shop.later()
    shop.sell(1, at(2, "00:00:00"), 0.99, 0.99)
    pipeline.run((2, 3), API)  # nobody asks for the day that it left
    assert days_of(pipeline, 1) == [2 * DAY] * 2
    assert_gold_follows(pipeline)
    pipeline.run_until_published((1, 2), API)  # the day that it left, now without it
    assert days_of(pipeline, 1) == [2 * DAY] * 2
    shop.later()
    shop.sell(1, at(1, "23:59:59.999999"), 0.99)
    pipeline.with_settings(look_back=1).run_until_published((2, 3), API)
    assert days_of(pipeline, 1) == [DAY]
    assert days_of(pipeline, 2) == [DAY]
    shop.later()
    shop.sell(1, at(2), 0.79)
    pipeline.run_until_published((2, 3), API)
    pipeline.run((1, 2), API)
    assert days_of(pipeline, 1) == [2 * DAY]
    assert_gold_follows(pipeline)
    fact = f"select price from {layout.SERVING_SCHEMA}.fact_session where session_id = '{session_id(1)}'"
    assert pipeline.query(fact) == [(Decimal("0.79"),)]


def test_a_moved_session_comes_back_without_its_first_day_being_read(pipeline: Pipeline, shop: Shop) -> None:
    shop.sell(5, at(5), 0.99)
    pipeline.run_until_published((5, 7), API)
    shop.later()
    shop.sell(5, at(6), 0.99)
    pipeline.run_until_published((6, 7), API)
    shop.later()
    shop.sell(5, at(5), 0.99)
    pipeline.run_until_published((6, 7), API)  # day 6 has lost it; day 5 holds what was landed before
    assert days_of(pipeline, 5) == [5 * DAY]
    pipeline.run_until_published((5, 6), API)
    assert days_of(pipeline, 5) == [5 * DAY]


def test_a_session_is_not_lost_when_the_day_that_shares_it_joins_another_batch(pipeline: Pipeline, shop: Shop) -> None:
    shop.sell(15, at(15), 0.99)
    shop.sell(16, at(16), 0.99)
    pipeline.run_until_published((15, 18), API)
    shop.later()
    shop.sell(15, at(16), 0.99)
    pipeline.run_until_published((16, 17), API)
    shop.later()
    shop.sell(16, at(17), 0.99)
    pipeline.run_until_published((17, 18), API)  # day 16 joins; it also shares a session with day 15
    shop.later()
    shop.sell(15, at(15), 0.99)
    pipeline.run_until_published((16, 17), API)
    pipeline.run_until_published((15, 16), API)
    assert (days_of(pipeline, 15), days_of(pipeline, 16)) == ([15 * DAY], [17 * DAY])


def test_a_record_without_a_readable_time_moves_no_session(pipeline: Pipeline, shop: Shop) -> None:
    shop.sell(18, at(18), 0.99)
    pipeline.run_until_published((18, 20), API)
    before = pipeline.silver("sessions")
    shop.later()
    shop.sell(19, at(19, "99:00:00"), 0.99, session_id=session_id(18))
    pipeline.run_until_published((19, 20), API)
    assert pipeline.silver("sessions") == before
    assert [row for row in pipeline.quarantine() if session_id(18) in row["record"]]
    del shop.sessions[19]


@pytest.mark.parametrize("at_once", [False, True], ids=["later", "begun at once"])
def test_a_batch_written_again_after_it_was_published_has_the_same_manifest(
    pipeline: Pipeline, shop: Shop, monkeypatch: pytest.MonkeyPatch, *, at_once: bool
) -> None:
    day = 26 if at_once else 23
    shop.sell(day, at(day), 0.99)
    pipeline.run((day, day + 2), API)
    shop.later()
    shop.sell(day, at(day + 1), 0.99)
    with pipeline.resources() as resources:
        window = run_window(resources, Entity.SESSIONS, interval((day + 1, day + 2)))
        job = Job(entity=Entity.SESSIONS, window=window)
        execute(Stage.EXTRACT, resources, job)
        batch = plan(resources, job)
        list(write_audit_publish(resources, job))
        published = pipeline.objects()[layout.batch_key(Entity.SESSIONS, batch.id)]
        if at_once:  # the other run had not written its manifest yet when this one looked for it
            monkeypatch.setattr(stage, "resume_batch", lambda _lake, batch: batch)
        execute(Stage.TRANSFORM, resources, replace(job, batch=batch))
        assert pipeline.objects()[layout.batch_key(Entity.SESSIONS, batch.id)] == published
        execute(Stage.LOAD, resources, job)
        execute(Stage.MODEL, resources, Job(window=window))
    assert days_of(pipeline, day) == [(day + 1) * DAY]
    assert_gold_follows(pipeline)


def test_a_day_that_becomes_empty_is_empty(pipeline: Pipeline, shop: Shop) -> None:
    shop.sell(8, at(8), 0.99)
    pipeline.run_until_published((8, 9), API)
    shop.later()
    del shop.sessions[8]
    pipeline.run_until_published((8, 9), API)
    assert days_of(pipeline, 8) == []


def test_a_look_back_adds_late_sessions_and_changed_likes_of_days_that_were_asked_for(
    pipeline: Pipeline, shop: Shop
) -> None:
    for number, day in ((10, 10), (11, 11), (12, 12)):
        shop.sell(number, at(day), 0.99)
    pipeline.run_until_published((11, 12), API)
    shop.later()
    shop.sell(13, at(11, "13:00:00"), 0.5)
    shop.sessions[11]["session_items"][0] |= {"liked": True, "liked_since": at(12)}
    pipeline.run_until_published((12, 13), API)
    assert (days_of(pipeline, 13), days_of(pipeline, 12)) == ([], [12 * DAY])
    pipeline.with_settings(look_back=3).run_until_published((12, 13), API)
    assert days_of(pipeline, 13) == [11 * DAY]
    assert days_of(pipeline, 10) == []  # nobody has asked for it yet
    (changed,) = [row for row in pipeline.silver("sessions") if row["session_id"] == session_id(11)]
    assert (changed["liked"], changed["liked_since"]) == (True, datetime.fromisoformat(at(12)))


def test_a_user_who_moves_and_comes_back_has_three_versions(pipeline: Pipeline, shop: Shop) -> None:
    paris = shop.upsert_user(20)["user_location"]
    instants = []
    for location in (paris, ["52.52437", "13.41053", "Berlin", "DE", "Europe/Berlin"], paris, paris):
        shop.upsert_user(20, user_location=location)
        instants.append(shop.now)
        pipeline.run_until_published((20, 21), API)
        pipeline.run_until_published((0, 1), API)  # an old interval puts no old state on top
        shop.later(days=1)
    versions = {
        row["effective_from"]: row["place_name"] for row in pipeline.silver("users") if row["user_id"] == user_id(20)
    }
    assert sorted(versions.items()) == [(instants[0], "Paris"), (instants[1], "Berlin"), (instants[2], "Paris")]


def test_users_are_replaced_and_a_day_is_run_after_a_compaction(pipeline: Pipeline, shop: Shop) -> None:
    def names() -> list[str]:
        rows = sorted(pipeline.silver("users"), key=lambda row: row["effective_from"])
        return [row["user_name"] for row in rows if row["user_id"] == user_id(21)]

    def compact() -> set[str]:
        with pipeline.resources() as resources:
            done = list(maintain(resources.spark, resources.catalog, keep_days=7))
        return {each.table for each in done if each.files_rewritten}

    for number in range(1, 6):
        shop.later(days=1)
        shop.upsert_user(21, user_name=f"Name {number}")
        pipeline.run((20, 21), API)
    assert Entity.USERS in compact()
    shop.upsert_user(21, user_name="Other content at the same instant")
    pipeline.run((20, 21), API)
    assert names() == [*(f"Name {number}" for number in range(1, 5)), "Other content at the same instant"]
    assert_gold_follows(pipeline)
    compact()
    shop.later(days=1)
    shop.upsert_user(21, user_name="The day after")
    shop.sell(21, at(21), 0.99)
    pipeline.with_settings(max_rejected=1.0).run((21, 22))
    assert names()[-1] == "The day after"
    assert days_of(pipeline, 21) == [21 * DAY]
    assert_gold_follows(pipeline)


def names_of(pipeline: Pipeline, number: int) -> list[str]:
    """The names of a user's versions, the oldest first."""
    rows = sorted(pipeline.silver("users"), key=lambda row: row["effective_from"])
    return [row["user_name"] for row in rows if row["user_id"] == user_id(number)]


def test_a_published_version_that_is_bad_is_mended_by_what_comes_later(
    pipeline: Pipeline, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    lenient = pipeline.with_settings(max_rejected=1.0)
    long = "N" * 5000
    for name in ("Name 30", long):
        shop.later(days=1)
        shop.upsert_user(30, user_name=name)
        shop.upsert_user(31, user_name=f"with {name[:7]}")
        lenient.run((30, 31), API)
    assert names_of(pipeline, 30) == ["Name 30", long]
    rules, more = Resources.rules, parse_rules('ColumnLength "user_name" <= 255')

    def changed(resources: "Resources", entity: Entity) -> Ruleset:
        ruleset = rules(resources, entity)
        return replace(ruleset, rules=(*ruleset.rules, *more)) if entity is Entity.USERS else ruleset

    monkeypatch.setattr(Resources, "rules", changed)
    shop.later(days=1)
    shop.upsert_user(31, user_name="and more")
    lenient.run((30, 31), API)  # the source still says so: rejected, and gone from where it was published
    assert names_of(pipeline, 30) == ["Name 30"]
    assert names_of(pipeline, 31) == ["with Name 30", f"with {long[:7]}", "and more"]
    assert [row["reasons"] for row in pipeline.quarantine() if long in row["record"]] == [[more[0].text]]
    assert_gold_follows(pipeline)
    shop.later(days=1)
    shop.upsert_user(30, user_name="Name 30 again")
    lenient.run((30, 31), API)
    assert names_of(pipeline, 30) == ["Name 30", "Name 30 again"]
    assert_gold_follows(pipeline)


def test_what_was_published_with_a_date_in_the_future_is_mended_by_what_comes_later(
    pipeline: Pipeline, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    lenient = pipeline.with_settings(max_rejected=1.0)
    shop.later(days=1)
    shop.upsert_user(32)
    shop.sell(32, at(32), 0.99)
    lenient.run((32, 33), API)
    right = shop.now
    with monkeypatch.context() as patch:  # as a release before this one did
        patch.setattr("deftunes.adapters.http.MAX_CLOCK_SKEW", timedelta(days=20_000))
        shop.now = datetime.fromisoformat("2060-12-31T23:59:59+00:00")
        shop.upsert_user(32, user_name="Of the future")
        shop.sell(32, at(32), 1.29)
        lenient.run((32, 33), API)
    assert names_of(pipeline, 32) == ["Name 32", "Of the future"]
    shop.now = right + DAY
    shop.upsert_user(32, user_name="Of the next day")
    shop.sell(32, at(32), 0.79)
    lenient.run((32, 33), API)
    assert names_of(pipeline, 32) == ["Name 32", "Of the next day"]
    assert [row["price"] for row in pipeline.silver("sessions") if row["session_id"] == session_id(32)] == [
        Decimal("0.79")
    ]
    assert_gold_follows(pipeline)


def test_a_changed_rule_restores_no_deleted_song(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    lenient = pipeline.with_settings(max_rejected=1.0)
    lenient.run_until_published((0, 1), PipelineName.SONGS)
    deleted = max(row["track_id"] for row in pipeline.silver("songs") if not row["is_deleted"])
    _execute(pipeline.catalogue.dsn, f"delete from deftunes.songs where track_id = '{deleted}'")
    lenient.run_until_published((0, 1), PipelineName.SONGS)
    before = pipeline.silver("songs")
    assert [row["is_deleted"] for row in before if row["track_id"] == deleted] == [True]
    rules, more = Resources.rules, parse_rules('ColumnValues "year" < 3000')

    def changed(resources: "Resources", entity: Entity) -> Ruleset:
        ruleset = rules(resources, entity)
        return replace(ruleset, rules=(*ruleset.rules, *more))

    monkeypatch.setattr(Resources, "rules", changed)
    snapshots = pipeline.silver_snapshots()
    lenient.run_until_published((0, 1), PipelineName.SONGS)
    assert pipeline.silver_snapshots() != snapshots
    assert pipeline.silver("songs") == before


def test_songs_are_changed_deleted_restored_and_in_conflict(pipeline: Pipeline) -> None:
    catalogue = pipeline.catalogue

    def silver() -> dict[str, dict[str, Any]]:
        # Two of the three rows that a day changes may contradict each other here.
        pipeline.with_settings(max_rejected=1.0).run_until_published((0, 1), PipelineName.SONGS)
        rows = pipeline.silver("songs")
        assert max(Counter(row["track_id"] for row in rows).values()) == 1
        return {row["track_id"]: row for row in rows}

    before = silver()
    changed, deleted, doubled = sorted(before)[:3]
    _execute(catalogue.dsn, f"update deftunes.songs set title = 'Changed' where track_id = '{changed}'")
    _execute(catalogue.dsn, f"delete from deftunes.songs where track_id = '{deleted}'")
    _execute(
        catalogue.dsn,
        f"create table saved as select * from deftunes.songs where track_id = '{doubled}'; "
        f"insert into deftunes.songs select * from saved; update deftunes.songs set title = 'Another' "
        f"where ctid = (select max(ctid) from deftunes.songs where track_id = '{doubled}')",
    )
    now = silver()
    assert (now[changed]["title"], now[deleted]["is_deleted"]) == ("Changed", True)
    assert now[doubled] == before[doubled]  # two that contradict each other change nothing
    assert {key: row for key, row in now.items() if key not in {changed, deleted}} == {
        key: row for key, row in before.items() if key not in {changed, deleted}
    }
    _execute(catalogue.dsn, "delete from deftunes.songs where title = 'Another'")
    _execute(
        catalogue.dsn,
        f"insert into deftunes.songs select * from saved; update deftunes.songs set track_id = '{deleted}', "
        f"title = 'Back' where ctid = (select max(ctid) from deftunes.songs where track_id = '{doubled}');",
    )
    _execute(catalogue.dsn, "drop table saved")
    now = silver()
    assert (now[deleted]["title"], now[deleted]["is_deleted"]) == ("Back", False)
    assert now[doubled] == before[doubled]
    snapshots = pipeline.silver_snapshots()
    assert silver() == now
    assert pipeline.silver_snapshots() == snapshots


def test_an_answer_that_shrank_is_refused_until_a_person_accepts_it(pipeline: Pipeline, shop: Shop) -> None:
    for number in range(30, 34):
        shop.sell(number, at(30), 0.99)
    pipeline.run_until_published((30, 31), API)
    before = pipeline.silver_snapshots(), pipeline.objects()
    shop.later()
    for number in range(31, 34):
        del shop.sessions[number]
    careful = pipeline.with_settings(max_shrink=0.2)
    with pytest.raises(RefusedError, match="--accept-shrink"):
        careful.run_until_published((30, 31), API)
    assert (pipeline.silver_snapshots(), pipeline.objects()) == before
    refused = pipeline.command("extract", "sessions", days=(30, 31))
    assert (refused.returncode, "--accept-shrink" in refused.stderr) == (3, True)
    careful.run_until_published((30, 31), API, ExtractOptions(accept_shrink=True))
    assert [days_of(pipeline, number) for number in (30, 31)] == [[30 * DAY], []]


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (Reply(status=503), RetriableError),
        (Reply(b'[{"session_id": "', framing="none"), RetriableError),
        (Reply(b"<html>"), DeftunesError),
        (Reply(b'{"error": 1}'), DeftunesError),
    ],
    ids=["503", "cut", "html", "an error object"],
)
def test_a_source_that_breaks_changes_nothing(
    pipeline: Pipeline, shop: Shop, reply: Reply, error: type[DeftunesError]
) -> None:
    shop.sell(40, at(40), 0.99)
    pipeline.run_until_published((40, 41), API)
    before = pipeline.silver_snapshots(), pipeline.objects()
    shop.later()
    shop.broken = reply
    try:
        with pytest.raises(error, match="Nothing was changed"):
            pipeline.with_settings(http_budget=0.1).run_until_published((40, 41), API)
    finally:
        shop.broken = None
    assert (pipeline.silver_snapshots(), pipeline.objects()) == before


@pytest.mark.parametrize(
    "flaw", [{"user_id": "nobody"}, {"user_agent": "x" * 300_000}], ids=lambda flaw: next(iter(flaw))
)
def test_one_bad_session_stops_nothing_whatever_its_size(pipeline: Pipeline, shop: Shop, flaw: dict[str, str]) -> None:
    day = 70 if "user_id" in flaw else 71
    for number in range(day * 100, day * 100 + 3):
        shop.sell(number, at(day), 0.99)
    shop.sell(day * 100 + 3, at(day), *[0.5] * 1000, **flaw)
    shop.sell(day * 100 + 4, at(day), *[0.5] * 100, user_agent="y" * 16_383)
    pipeline.run((day, day + 1), API)
    assert [len(days_of(pipeline, day * 100 + each)) for each in range(5)] == [1, 1, 1, 0, 100]
    (held,) = [row for row in pipeline.quarantine() if session_id(day * 100 + 3) in row["record"]]
    assert any(next(iter(flaw)) in reason for reason in held["reasons"])
    assert_gold_follows(pipeline)


def test_bad_songs_of_an_increment_stop_the_others_only_where_the_catalogue_is_bad(pipeline: Pipeline) -> None:
    dsn = pipeline.catalogue.dsn
    pipeline.run_until_published((0, 1), PipelineName.SONGS)
    first, second, third, fourth = sorted(row["track_id"] for row in pipeline.silver("songs"))[:4]
    live = sum(not row["is_deleted"] for row in pipeline.silver("songs"))
    bearing_two = pipeline.with_settings(max_rejected=2.5 / live)
    before = {row["track_id"]: row for row in pipeline.silver("songs")}

    def change(title: str, **song_ids: str) -> None:
        for track, song_id in song_ids.items():
            _execute(dsn, f"update deftunes.songs set song_id = '{song_id}' where track_id = '{track}'")
        _execute(dsn, f"update deftunes.songs set title = '{title}' where track_id = '{fourth}'")

    def silver() -> dict[str, dict[str, Any]]:
        bearing_two.run_until_published((0, 1), PipelineName.SONGS)
        return {row["track_id"]: row for row in pipeline.silver("songs")}

    change("one", **{first: "bad", second: "bad, too"})
    now = silver()
    assert now[fourth]["title"] == "one"
    assert {key: row for key, row in now.items() if key != fourth} == {
        key: row for key, row in before.items() if key != fourth
    }
    held = [row for row in pipeline.quarantine() if row["entity"] == "songs" and first in row["record"]]
    assert len(held) == 1
    change("two", **{first: "bad again", second: "bad again", third: "bad"})
    with pytest.raises(RefusedError, match=rf"3 of {live} records rejected"):
        silver()
    change("three", **{track: before[track]["song_id"] for track in (first, second, third)})
    assert silver()[fourth]["title"] == "three"


def test_another_threshold_validates_the_same_landing_again(pipeline: Pipeline, shop: Shop) -> None:
    shop.sell(50, at(50), 0.99, 1.5)
    pipeline.run_until_published((50, 51), API)
    landed = pipeline.objects().keys()
    strict = pipeline.with_settings(max_price=Decimal(1), max_rejected=1.0)
    for _ in range(2):
        strict.run_until_published((50, 51), API)
        assert len(days_of(pipeline, 50)) == 1
        (rejected,) = [row for row in pipeline.quarantine() if session_id(50) in row["record"]]
        assert any("price" in reason for reason in rejected["reasons"])
    pipeline.run_until_published((50, 51), API)
    assert len(days_of(pipeline, 50)) == 2
    assert not [row for row in pipeline.quarantine() if session_id(50) in row["record"]]
    assert {key for key in pipeline.objects().keys() - landed if key.startswith("landing/")} == set()


def test_a_new_column_is_null_for_the_past_and_rewrites_nothing(
    pipeline: Pipeline, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.sell(60, at(60), 0.99)
    shop.sell(61, at(61), 0.99)
    pipeline.run((60, 61), API)
    files = _data_files(pipeline)
    column = Column("campaign", "string", "the campaign that the buyer came from")
    table = schema.TABLES[Entity.SESSIONS.value]
    wider = replace(table, columns=(*table.columns, column))
    monkeypatch.setitem(schema.TABLES, Entity.SESSIONS.value, wider)
    monkeypatch.setattr(sessions, "_SENT", f"{sessions._SENT}, 'summer' as campaign")
    pipeline.run((61, 62), API)
    assert {row["session_id"]: row["campaign"] for row in pipeline.silver("sessions")}[session_id(61)] == "summer"
    assert {row["campaign"] for row in pipeline.silver("sessions") if row["session_id"] != session_id(61)} == {None}
    assert files < _data_files(pipeline)
    assert len(_data_files(pipeline) - files) == 1
    statement = f"select session_id, campaign from {layout.DATABASE}.sessions where campaign is not null"
    assert pipeline.query(statement) == [(session_id(61), "summer")]
    assert_gold_follows(pipeline)


def _data_files(pipeline: Pipeline) -> set[str]:
    with pipeline.resources() as resources:
        table = silver_table(resources.catalog, "sessions")
        assert table
        return {task.file.file_path for task in table.scan().plan_files()}


def _execute(dsn: str, statements: str) -> None:
    with closing(psycopg2.connect(dsn)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(statements)
