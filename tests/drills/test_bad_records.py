"""Every bad record there is, at every source: good ones are published to the cent, bad ones are in quarantine once."""

import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from deftunes.adapters.catalog import Refs, open_catalog, silver_table
from deftunes.adapters.warehouse_drivers import open_warehouse
from deftunes.core import layout
from deftunes.core.entities import Entity
from deftunes.core.errors import RefusedError
from deftunes.core.stages import PipelineName, Stage
from deftunes.operations.replay import replays
from deftunes.publish.stage import Published
from support.engines import ENGINES
from support.pipeline import DAY, OPENING, Pipeline, assert_gold_equals_sales, new_pipeline
from support.simulator import Simulator, running_simulator

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from support.stack import Stack

BEFORE, DAYS, AFTER = (0, 1), (1, 2), (2, 3)
_KEY = {
    Entity.SONGS: ("track_id",),
    Entity.USERS: ("user_id", "effective_from"),
    Entity.SESSIONS: ("session_id", "item_number"),
}


@dataclass
class Reader:
    """Somebody who looks at silver's main and at gold again and again. `found` is what nobody may ever see."""

    pipeline: Pipeline
    looks: int = 0
    found: list[str] = field(default_factory=list)
    _facts: int = 0

    def look(self) -> None:
        """Look at everything once."""
        settings = self.pipeline.settings
        catalog = open_catalog(settings)
        for entity in Entity:
            self._look_at_silver(catalog, entity)
        assert settings.warehouse_dsn
        warehouse = open_warehouse(settings.warehouse_dsn.get_secret_value())
        facts = f"{layout.SERVING_SCHEMA}.fact_session"
        ((facts_now, joined, bad),) = warehouse.query(
            "select count(*), count(*) filter (where a.artist_id is not null and s.track_id is not null "
            "and u.user_key is not null), count(*) filter (where f.price is null or f.price < 0 or f.price > 3 "
            "or length(f.track_id) <> 18 or f.session_start_time is null) "
            f"from {facts} f left join {layout.SERVING_SCHEMA}.dim_artists a on a.artist_id = f.artist_id "
            f"left join {layout.SERVING_SCHEMA}.dim_songs s on s.track_id = f.track_id "
            f"left join {layout.SERVING_SCHEMA}.dim_users u on u.user_key = f.user_key"
        ).rows
        self.expect(bad == 0, f"{bad} bad facts")
        self.expect(joined == facts_now, f"{facts_now} facts, {joined} with all of their members")
        self.expect(facts_now >= self._facts, f"{self._facts} facts became {facts_now}")
        self._facts = facts_now
        self.looks += 1

    def expect(self, holds: bool, otherwise: str) -> None:
        """Remember what does not hold."""
        if not holds:
            self.found.append(otherwise)

    def _look_at_silver(self, catalog: Any, entity: Entity) -> None:
        table = silver_table(catalog, entity)
        results = silver_table(catalog, layout.QUALITY_RESULTS)
        assert table is not None
        assert results is not None
        main = Refs(table).main
        verdicts = [row for row in results.scan().to_arrow().to_pylist() if row["snapshot_id"] == main]
        self.expect(bool(verdicts) and all(row["passed"] for row in verdicts), f"{entity}: {main} was not audited")
        rows = table.scan(snapshot_id=main).to_arrow().to_pylist()
        keys = Counter(tuple(row[name] for name in _KEY[entity]) for row in rows)
        self.expect(max(keys.values()) == 1, f"{entity}: a key twice")
        for row in rows:
            match entity:
                case Entity.SESSIONS:
                    is_good = (
                        row["price"] is not None
                        and 0 <= row["price"] <= 3
                        and len(row["session_id"]) == len(row["user_id"]) == 36
                        and len(row["track_id"]) == 18
                        and None not in (row["artist_id"], row["currency"], row["session_start_time"])
                    )
                case Entity.USERS:
                    is_good = len(row["user_id"]) == 36 and None not in (
                        row["user_name"], row["user_lastname"], row["user_since"], row["latitude"], row["timezone"],
                    )  # fmt: skip
                case Entity.SONGS:
                    is_good = len(row["track_id"]) == len(row["song_id"]) == 18 and row["artist_id"] is not None
            self.expect(is_good, f"{entity}: {row}")


@contextmanager
def watched(pipeline: Pipeline) -> Iterator[Reader]:
    """A reader at work in the meantime."""
    reader, done, broken = Reader(pipeline), threading.Event(), []

    def look_again_and_again() -> None:
        try:
            while not done.is_set():
                reader.look()
                done.wait(0.2)
        except BaseException as error:
            broken.append(error)
            raise

    thread = threading.Thread(target=look_again_and_again)
    thread.start()
    try:
        yield reader
    finally:
        done.set()
        thread.join()
    assert not broken
    reader.look()


@pytest.mark.parametrize("engine", ENGINES)
def test_all_that_is_bad_at_once(stack: "Stack", spark: "SparkSession", engine: str) -> None:
    with running_simulator(users=30, sessions_per_day=20, clock="2020-01-20T00:00:00Z") as simulator:
        pipeline = new_pipeline(stack, simulator.url, spark=spark, look_back=1, engine=engine)
        pipeline.run(BEFORE)
        spoiled = json.loads(pipeline.catalogue.run("spoil").stdout)
        simulator.bad("all", days=[OPENING + DAY])
        with watched(pipeline) as reader:
            _is_refused(pipeline)
            _is_accepted(pipeline, simulator, spoiled)
            _stays_as_it_is(pipeline)
            _is_validated_again(pipeline)
        assert reader.looks > 3
        assert reader.found == []


def _is_refused(pipeline: Pipeline) -> None:
    """By the default share: main is as it was, and the message says what to do, each time anew."""
    before = {entity: pipeline.silver(entity) for entity in Entity}, pipeline.gold()
    for entity in Entity:
        pipeline.stage(Stage.EXTRACT, entity, DAYS)
        pipeline.stage(Stage.TRANSFORM, entity, DAYS)
        for _ in range(2):
            with pytest.raises(RefusedError, match=f"main is as it was.*deftunes quarantine list {entity}"):
                pipeline.stage(Stage.QUALITY, entity, DAYS)
        refused = pipeline.command("publish", entity, days=DAYS)
        assert refused.returncode == 1
        assert "found none" in refused.stderr
    assert ({entity: pipeline.silver(entity) for entity in Entity}, pipeline.gold()) == before


def _is_accepted(pipeline: Pipeline, simulator: Simulator, spoiled: list[dict[str, Any]]) -> None:
    """By a person's decision: the same batches, the good rows to the cent, the bad ones in quarantine once."""
    waiting = sorted(pipeline.branches())
    assert len(waiting) == len(Entity)
    published = pipeline.with_settings(max_rejected=1.0).run(DAYS)
    batches = [outcome.result.batch_id for outcome in published if isinstance(outcome.result, Published)]
    assert sorted(map(layout.branch, batches)) == waiting
    assert pipeline.branches() == []
    assert_gold_equals_sales(pipeline, simulator, (0, 2))
    bad = simulator.truth(OPENING, OPENING + 2 * DAY)["bad"]
    expected = sum(record["rejected"] for record in bad) + sum(case["rejected"] for case in spoiled)
    rows = pipeline.quarantine()
    assert len(rows) == expected
    for record in bad:
        found = [row for row in rows if _is_record_of(row, record)]
        assert len(found) == 1, record
        assert found[0]["reasons"], record
        assert (found[0]["day"] is not None) == (record["entity"] == "sessions" and record["placed"]), record
    sent = {tuple(song.values()) for case in spoiled if case["rejected"] for song in case["songs"]}
    assert {tuple(json.loads(row["record"]).values()) for row in rows if row["entity"] == "songs"} == sent


def _is_record_of(row: dict[str, Any], bad: dict[str, Any]) -> bool:
    """Whether a row of quarantine is this record: its text as sent, or the item with its session's keys."""
    if row["entity"] != bad["entity"]:
        return False
    if bad["item_number"] is None:
        return bool(row["record"] == bad["record"])
    item = _exactly(row["record"])
    session = _exactly(bad["record"])
    return bool(
        isinstance(item, dict)
        and "item" in item
        and (item["session_id"], item["item_number"]) == (session["session_id"], bad["item_number"])
        and _same(item["item"], session["session_items"][bad["item_number"] - 1])
    )


def _exactly(text: str) -> Any:
    try:
        return json.loads(text, parse_float=Decimal)
    except (ValueError, ArithmeticError):  # no JSON, or a number that no Decimal holds
        return None


def _same(first: Any, second: Any) -> bool:
    """Equal, and written alike: 0.990 is not 0.99, true is not 1."""
    if isinstance(first, dict) and isinstance(second, dict):
        return first.keys() == second.keys() and all(_same(first[name], second[name]) for name in first)
    return repr(first) == repr(second)


def _stays_as_it_is(pipeline: Pipeline) -> None:
    """Met again by a rerun, a longer window and a look-back, a record is in quarantine once, as it came first."""
    before = pipeline.quarantine()
    for days in (DAYS, (0, 2), AFTER):
        pipeline.with_settings(max_rejected=1.0).run(days, PipelineName.API)
    assert pipeline.quarantine() == before


def _is_validated_again(pipeline: Pipeline) -> None:
    """With a higher price allowed, what was too dear for the old rule and nothing else comes out and into gold."""
    before, sold = pipeline.quarantine(), pipeline.revenue()
    dear = pipeline.with_settings(max_price=Decimal(3), max_rejected=1.0)
    with dear.resources() as resources:
        stages = [outcome.stage for _, outcomes in replays(resources, Entity.SESSIONS) for outcome in outcomes]
    assert Stage.MODEL in stages
    released = [row for row in before if row not in pipeline.quarantine()]
    assert [json.loads(row["record"])["item"]["price"] for row in released] == [2.01]
    assert [row for row in pipeline.quarantine() if row not in before] == []
    assert pipeline.revenue()["USD"] == sold["USD"] + Decimal("2.01")
    with dear.resources() as resources:
        again = [outcome for _, outcomes in replays(resources, Entity.SESSIONS) for outcome in outcomes]
    assert Stage.TRANSFORM not in {outcome.stage for outcome in again}
