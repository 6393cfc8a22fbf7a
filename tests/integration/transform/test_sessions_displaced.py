"""Which days of `main` a batch of sessions displaces, and at what cost."""

from collections.abc import Iterator
from datetime import date, datetime
from typing import TYPE_CHECKING

import pytest

from deftunes.transform.sessions import newly_linked_days

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

OLD, NEW = date(2020, 1, 1), date(2020, 1, 2)


@pytest.fixture
def no_broadcast(spark: "SparkSession") -> Iterator[None]:
    """Every table is too large to be sent to all, and whoever sends one all the same is not waited for."""
    settings = {"spark.sql.autoBroadcastJoinThreshold": "-1", "spark.sql.broadcastTimeout": "0"}
    for name, value in settings.items():
        spark.conf.set(name, value)
    yield
    for name in settings:
        spark.conf.unset(name)


def parsed(spark: "SparkSession", *sessions: tuple[str | None, str]) -> "DataFrame":
    rows = [(session, unit, item) for session, unit in sessions for item in (None, 1)]
    return spark.createDataFrame(rows, "session_id string, unit string, item_number int")


def main(spark: "SparkSession", *session_ids: str) -> "DataFrame":
    noon = datetime.fromisoformat(f"{OLD}T12:00:00+00:00")
    rows = [(session, noon) for session in session_ids]
    return spark.createDataFrame(rows, "session_id string, session_start_time timestamp")


@pytest.mark.usefixtures("no_broadcast")
def test_the_ids_of_a_long_interval_are_not_forced_into_one_heap(spark: "SparkSession") -> None:
    landed = parsed(spark, ("a", f"{NEW}"), ("b", f"{NEW}"))
    assert newly_linked_days(landed, main(spark, "a", "c"), [NEW]) == {OLD}


def test_a_day_that_the_batch_holds_itself_is_not_displaced(spark: "SparkSession") -> None:
    assert newly_linked_days(parsed(spark, ("a", f"{OLD}")), main(spark, "a"), [OLD]) == frozenset()


def test_records_without_an_id_or_a_day_displace_nothing(spark: "SparkSession") -> None:
    landed = parsed(spark, (None, f"{NEW}"), ("a", f"{NEW}~unplaced"))
    assert newly_linked_days(landed, main(spark, "a"), [NEW]) == frozenset()
