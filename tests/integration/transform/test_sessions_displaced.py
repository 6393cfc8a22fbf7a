"""Which days of `main` a batch of sessions displaces, on both engines, and at what cost."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time
from typing import TYPE_CHECKING

import pytest

from deftunes.adapters.catalog import open_catalog
from deftunes.adapters.lake import open_lake
from deftunes.core.entities import Entity
from deftunes.transform.sessions import newly_linked_days
from deftunes.transform.statements import Statements
from support.engines import ENGINES, open_engine
from support.ids import session_id
from support.silver import Silver, session_item

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from deftunes.core.engine import Engine
    from deftunes.core.settings import Settings

OLD, NEW = date(2020, 1, 1), date(2020, 1, 2)
STATEMENTS = Statements(Entity.SESSIONS, sent="", batch_id="")


@pytest.fixture
def silver(settings: "Settings") -> Silver:
    return Silver(open_catalog(settings), open_lake(settings)).create()


@pytest.fixture
def no_broadcast(request: pytest.FixtureRequest) -> Iterator[None]:
    """Every table is too large to be sent to all, and whoever sends one all the same is not waited for."""
    spark: SparkSession = request.getfixturevalue("spark")
    settings = {"spark.sql.autoBroadcastJoinThreshold": "-1", "spark.sql.broadcastTimeout": "0"}
    for name, value in settings.items():
        spark.conf.set(name, value)
    yield
    for name in settings:
        spark.conf.unset(name)


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest, silver: Silver) -> "Iterator[Engine]":
    with open_engine(request.param, request, silver.lake) as engine:
        yield engine


def displaced(engine: "Engine", silver: Silver, *landed: tuple[int | None, str]) -> frozenset[date]:
    """Sessions (number, unit) land for the day NEW; of `main` sessions 1 and 3 are of the day OLD."""
    noon = datetime.combine(OLD, time(12), UTC)
    silver.replace_days({OLD: [session_item(number, at=noon) for number in (1, 3)]})
    engine.values("one", "x", ["1"])
    rows = (
        f"select {repr(session_id(number)) if number else 'cast(null as varchar(36))'} as session_id, "
        f"'{unit}' as unit, {item} as item_number, {'~' not in unit} as dated from one"
        for number, unit in landed
        for item in ("cast(null as int)", "1")
    )
    engine.keep("parsed", " union all ".join(rows))
    head = silver.table(Entity.SESSIONS).current_snapshot()
    assert head is not None
    return newly_linked_days(engine, STATEMENTS, head.snapshot_id, [NEW])


@pytest.mark.usefixtures("no_broadcast")
def test_the_ids_of_a_long_interval_are_not_forced_into_one_heap(engine: "Engine", silver: Silver) -> None:
    assert displaced(engine, silver, (1, f"{NEW}"), (2, f"{NEW}")) == {OLD}


def test_a_day_that_holds_none_of_them_is_not_displaced(engine: "Engine", silver: Silver) -> None:
    assert displaced(engine, silver, (2, f"{NEW}")) == frozenset()


def test_records_without_an_id_or_a_day_displace_nothing(engine: "Engine", silver: Silver) -> None:
    assert displaced(engine, silver, (None, f"{NEW}"), (1, f"{NEW}~unplaced")) == frozenset()
