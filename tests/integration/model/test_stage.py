"""How a model run behaves: again, broken off, at once with others, watched, with a failing test."""

import threading
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from dbt.cli.main import dbtRunner

from deftunes.core import layout
from deftunes.core.entities import Entity
from deftunes.core.errors import DeftunesError, RetriableError
from deftunes.core.settings import exported
from deftunes.model import stage
from deftunes.state import bookkeeping
from support.gold import SERVING, actual_gold, assert_gold_matches_silver
from support.ids import artist_id
from support.silver import T0, session_item, song_row, user_version
from support.warehouse import PROJECT, WarehousePipeline, new_warehouse_pipeline

if TYPE_CHECKING:
    from support.stack import Stack

DAY = timedelta(days=1)
AFTER_BUILD = stage.Failpoint.MODEL_AFTER_BUILD
D1, D2, D3 = (T0.date() + DAY * number for number in range(3))


@pytest.fixture
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.getbasetemp() / "dbt"


@pytest.fixture
def pipeline(stack: "Stack", work: Path) -> WarehousePipeline:
    pipeline = new_warehouse_pipeline(stack, work)
    pipeline.silver.upsert_songs([song_row(number) for number in range(3)])
    pipeline.silver.replace_user_versions([user_version(number) for number in range(3)], at=T0)
    pipeline.silver.replace_days(
        {
            D1: [session_item(1, 1, at=T0), session_item(1, 2, at=T0, buyer=1, track=7)],
            D2: [session_item(2, at=T0 + DAY, buyer=9), session_item(3, at=T0 + 2 * DAY - timedelta(microseconds=1))],
        }
    )
    return pipeline


def written_by(pipeline: WarehousePipeline) -> dict[str, list[object]]:
    """The transaction that wrote each row: it moves on when a row is written again, even with the same values."""
    return {
        name: sorted(
            pipeline.warehouse.query(f"select xmin::text, ctid::text from {layout.SERVING_SCHEMA}.{name}").rows
        )
        for name in SERVING
    }


def test_nothing_new_writes_no_row(pipeline: WarehousePipeline) -> None:
    pipeline.load()
    assert pipeline.model(D1, D3).everything
    before = written_by(pipeline)
    pipeline.load()
    again = pipeline.model(D1, D3)
    assert (again.everything, again.days) == (False, 2)
    assert written_by(pipeline) == before
    assert_gold_matches_silver(pipeline.warehouse, pipeline.silver.rows)


def test_a_key_of_any_length_is_modelled(pipeline: WarehousePipeline) -> None:
    pipeline.silver.upsert_songs([song_row(2, artist_id="AR" + "x" * 300)])
    pipeline.silver.replace_days({D3: [session_item(4, at=T0 + 2 * DAY, artist_id="y" * 65)]})
    pipeline.load()
    pipeline.model(D1, D3)
    pipeline.silver.upsert_songs([song_row(2, artist_id="AR" + "x" * 300, artist_name="renamed")])
    pipeline.load()
    assert not pipeline.model(D1, D3 + DAY).everything
    assert_gold_matches_silver(pipeline.warehouse, pipeline.silver.rows)


def test_the_queue_outlives_another_set_up_and_takes_keys_of_any_length(pipeline: WarehousePipeline) -> None:
    pipeline.load()
    pending = f"select entity, unit, since from {bookkeeping.CHANGED} order by 1, 2"
    before = pipeline.warehouse.query(pending)
    with pipeline.warehouse.hold(exclusive=True) as connection:
        for _ in range(2):
            bookkeeping.create_tables(connection)
        assert pipeline.warehouse.query(pending) == before
        with connection.transaction():
            bookkeeping.enqueue_changes(connection, Entity.SONGS, ["x" * 65_000])
            assert "x" * 65_000 in bookkeeping.pending_changes(connection, Entity.SONGS)


def test_before_the_first_load_the_error_names_the_command_to_run(stack: "Stack", work: Path) -> None:
    with pytest.raises(DeftunesError, match="Run `deftunes load sessions` first"):
        new_warehouse_pipeline(stack, work).model(D1, D2)


def test_an_empty_silver_gives_an_empty_gold(stack: "Stack", work: Path) -> None:
    pipeline = new_warehouse_pipeline(stack, work)
    pipeline.load()
    assert pipeline.model(D1, D2).models == 14
    gold = actual_gold(pipeline.warehouse)
    assert gold.pop("data_as_of_vw") == {(None, 0, 0)}
    assert gold == {key: set() for key in gold}


@pytest.mark.parametrize("failpoint", ["MODEL_BEFORE_BUILD", "MODEL_AFTER_BUILD"])
def test_the_next_run_does_the_work_that_a_failed_run_left(
    pipeline: WarehousePipeline, monkeypatch: pytest.MonkeyPatch, failpoint: str
) -> None:
    pipeline.load()
    pipeline.model(D1, D3)
    pipeline.silver.replace_days({D1: [session_item(4, at=T0, track=8, artist_id=artist_id(8))]})
    pipeline.silver.upsert_songs([song_row(1, artist_id=artist_id(2))])
    pipeline.load()

    def break_off(reached: object) -> None:
        if reached is stage.Failpoint[failpoint]:
            raise RuntimeError

    with monkeypatch.context() as patched:
        patched.setattr(stage, "crash_point", break_off)
        with pytest.raises(RuntimeError):
            pipeline.model(D1, D2)
    pipeline.model(D3, D3 + DAY)  # other days than those that are pending
    assert_gold_matches_silver(pipeline.warehouse, pipeline.silver.rows)


def test_a_failing_test_stops_before_the_bi_views(pipeline: WarehousePipeline) -> None:
    pipeline.load()
    pipeline.model(D1, D3)
    before = {view: rows for view, rows in actual_gold(pipeline.warehouse).items() if view not in SERVING}
    run(pipeline, f"create rule lose as on insert to {layout.SERVING_SCHEMA}.dim_songs do instead nothing")
    pipeline.silver.replace_days({D2: [session_item(5, at=T0 + DAY, track=99)]})
    pipeline.load()
    with pytest.raises(DeftunesError) as failed:
        pipeline.model(D2, D3)
    message = str(failed.value)
    assert "test relationships_fact_session_track_id" in message
    assert "compiled" in message
    assert {view: rows for view, rows in actual_gold(pipeline.warehouse).items() if view not in SERVING} == before
    run(pipeline, f"drop rule lose on {layout.SERVING_SCHEMA}.dim_songs")
    pipeline.model(D1, D2)  # pending changes stay in the queue, whatever interval is asked for
    assert_gold_matches_silver(pipeline.warehouse, pipeline.silver.rows)


def test_a_sale_of_another_day_is_tested_when_its_buyer_changed(pipeline: WarehousePipeline) -> None:
    pipeline.load()
    pipeline.model(D1, D3)
    run(pipeline, f"create rule lose as on insert to {layout.SERVING_SCHEMA}.dim_users do instead nothing")
    pipeline.silver.replace_user_versions(
        [user_version(1, country_code="BR")], at=T0 + DAY
    )  # his sale late on D2 belongs to this version
    pipeline.load()
    with pytest.raises(DeftunesError, match="test relationships_fact_session_user_key"):
        pipeline.model(D3, D3 + DAY)


def test_the_versions_of_a_user_who_bought_nothing_are_tested(pipeline: WarehousePipeline) -> None:
    pipeline.load()
    pipeline.model(D1, D3)
    run(
        pipeline,
        f"create rule lose as on insert to {layout.SERVING_SCHEMA}.dim_users where new.is_current do instead nothing",
    )
    pipeline.silver.replace_user_versions([user_version(2, country_code="DE")], at=T0 + DAY)
    pipeline.load()
    with pytest.raises(DeftunesError, match="test user_versions_touch"):
        pipeline.model(D3, D3 + DAY)


def test_a_days_tests_read_the_day_and_not_the_history(
    pipeline: WarehousePipeline, monkeypatch: pytest.MonkeyPatch, work: Path
) -> None:
    pipeline.silver.upsert_songs([song_row(number) for number in range(300)])
    pipeline.silver.replace_days({D3: [session_item(number, at=T0 + 2 * DAY, track=number) for number in range(300)]})
    pipeline.load()
    pipeline.model(D1, D3 + DAY)
    history = {
        "dim_artists": "'artist ' || n, null, false",
        "dim_songs": "'track ' || n, null, null, null, null, 'artist ' || n, false, false",
        "dim_users": "'key ' || n, 'user ' || n, null, null, null, null, null, null, '1900-01-01Z', '9999-12-31Z', "
        "true, false",
        "fact_session": "'session ' || n, 1, 'user ' || n, 'key ' || n, 'track ' || n, 'artist ' || n, 1, 'USD', "
        "false, null, '2024-01-01Z', '2024-01-01', null",
    }
    day = "insert into {}.fact_session_day values ('2024-01-01', 20000, 20000)"
    run(pipeline, day.format(layout.SERVING_SCHEMA))
    # The views follow what `model` changes, so the history that it did not make is put there, too.
    shown = "insert into {}.sales_per_day_vw values ('2024-01-01', 'USD', 20000, 20000, 0, 20000, 20000, 20000)"
    run(pipeline, shown.format(layout.BI_SCHEMA))
    for table, row in history.items():
        run(pipeline, f"insert into {layout.SERVING_SCHEMA}.{table} select {row} from generate_series(1, 20000) as n")
        run(pipeline, f"analyze {layout.SERVING_SCHEMA}.{table}")
    read: dict[str, int] = {}

    def explain(reached: object) -> None:
        # The queue is not cleared yet, so the compiled tests read what they read in the run.
        for path in (work / "target/compiled/deftunes").rglob("*.sql") if reached is AFTER_BUILD else ():
            if ".yml" in str(path) or path.parent.name == "tests":
                ((plan,),) = pipeline.warehouse.query(f"explain (analyze, format json) {path.read_text()}").rows
                read[path.stem] = _rows_read(plan[0]["Plan"])

    monkeypatch.setattr(stage, "crash_point", explain)
    assert not pipeline.model(D3, D3 + DAY).everything
    assert len(read) >= 10
    assert {test: rows for test, rows in read.items() if rows >= 20_000} == {}


def _rows_read(plan: dict[str, Any]) -> int:
    """The most rows that a node of the plan read, whether it passed them on or not."""
    rows = (plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0)) * plan["Actual Loops"]
    return max([int(rows), *(_rows_read(node) for node in plan.get("Plans", ()))])


def test_a_second_model_waits_and_gives_up(stack: "Stack", work: Path) -> None:
    pipeline = new_warehouse_pipeline(stack, work, lock_timeout=0.2)
    with (
        pipeline.warehouse.hold(exclusive=False) as connection,
        connection.transaction(),
        pytest.raises(RetriableError, match="the warehouse lock"),
    ):
        pipeline.model(D1, D2)


def test_keys_and_days_do_not_depend_on_the_servers_time_zone(pipeline: WarehousePipeline) -> None:
    pipeline.load()
    ((database,),) = pipeline.warehouse.query("select current_database()").rows
    try:
        run(pipeline, f"alter database {database} set timezone to 'Pacific/Auckland'")
        pipeline.model(D1, D3)
        assert_gold_matches_silver(pipeline.warehouse, pipeline.silver.rows)
    finally:
        run(pipeline, f"alter database {database} reset timezone")


def test_a_changed_project_computes_gold_anew(pipeline: WarehousePipeline) -> None:
    pipeline.load()
    pipeline.model(D1, D3)
    run(pipeline, f"update {bookkeeping.LOADED} set batch_id = 'other' where entity = 'gold'")
    run(pipeline, f"update {layout.SERVING_SCHEMA}.dim_songs set title = 'as another project had it'")
    assert pipeline.model(D3, D3 + DAY).everything
    assert_gold_matches_silver(pipeline.warehouse, pipeline.silver.rows)


def test_a_reader_never_meets_a_fact_without_its_members_nor_an_empty_view(pipeline: WarehousePipeline) -> None:
    pipeline.load()
    pipeline.model(D1, D3)
    lost, done = [], threading.Event()
    facts = f"{layout.SERVING_SCHEMA}.fact_session"
    joined = "".join(
        f" inner join {layout.SERVING_SCHEMA}.{dimension} on {dimension}.{key} = facts.{key}"
        for dimension, key in (("dim_songs", "track_id"), ("dim_artists", "artist_id"), ("dim_users", "user_key"))
    )

    def watch() -> None:
        while not done.is_set():
            ((all_facts, whole, lines),) = pipeline.warehouse.query(
                f"select (select count(*) from {facts}), (select count(*) from {facts} as facts{joined}), "
                f"(select count(*) from {layout.BI_SCHEMA}.sales_per_artist_vw)"
            ).rows
            if all_facts != whole or not lines:
                lost.append((all_facts, whole, lines))

    reader = threading.Thread(target=watch)
    reader.start()
    try:
        for round_ in range(4):
            buyer, track = 20 + round_, 30 + round_
            pipeline.silver.replace_days(
                {D1: [session_item(1, at=T0, buyer=buyer, track=track, artist_id=artist_id(track))]}
            )
            pipeline.silver.replace_user_versions([user_version(9, place_name=str(round_))], at=T0 + DAY / 2)
            if round_ == 2:
                pipeline.silver.replace_user_versions([], at=T0 + DAY / 2)
            pipeline.load()
            pipeline.model(D1, D2, everything=round_ == 3)
    finally:
        done.set()
        reader.join()
    assert lost == []
    assert_gold_matches_silver(pipeline.warehouse, pipeline.silver.rows)


def test_the_projects_unit_tests_pass_and_its_docs_build(pipeline: WarehousePipeline, tmp_path: Path) -> None:
    pipeline.load()
    pipeline.model(D1, D3)
    common = [
        *("--log-level", "none", "--log-level-file", "none"),
        *("--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT), "--target-path", str(tmp_path)),
    ]
    with exported(pipeline.warehouse.dbt_environment()):
        tests = dbtRunner().invoke(["test", "--select", "test_type:unit", *common])
        docs = dbtRunner().invoke(["docs", "generate", *common])
    assert [(result.node.name, str(result.status)) for result in tests.result.results if result.status != "pass"] == []
    assert len(tests.result.results) >= 4
    assert docs.success
    assert (tmp_path / "catalog.json").exists()


def test_views_have_the_types_that_their_description_states(pipeline: WarehousePipeline) -> None:
    import yaml

    pipeline.load(*Entity)
    pipeline.model(D1, D3)
    text = (PROJECT / "models/bi_views/_bi_views.yml").read_text()
    for model in yaml.safe_load(text)["models"]:
        rows = pipeline.warehouse.query(
            "select attname::text, format_type(atttypid, null) from pg_attribute where attnum > 0 and "
            f"attrelid = '{layout.BI_SCHEMA}.{model['name']}'::regclass order by attnum"
        ).rows
        assert rows == [(column["name"], column["data_type"]) for column in model["columns"]]


def run(pipeline: WarehousePipeline, statement: str) -> None:
    with pipeline.warehouse.hold(exclusive=True) as session, session.transaction():
        session.run(statement)
