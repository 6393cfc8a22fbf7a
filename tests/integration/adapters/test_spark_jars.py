"""The pinned jars are enough for what the stages do with Spark, and all of them are needed."""

import gzip
from typing import TYPE_CHECKING

from deftunes.adapters.lake import open_lake
from deftunes.adapters.spark import CATALOG
from deftunes.core import layout
from deftunes.core.settings import Settings, declare_spark_version

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

TABLE = f"{CATALOG}.{layout.DATABASE}.jars"


def test_landing_objects_are_read_through_s3a(settings: Settings, spark: "SparkSession") -> None:
    lake = open_lake(settings)
    for part in range(3):
        lines = b"".join(b'{"number": %d, "text": "\xc3\xa9\\n"}\n' % number for number in range(part * 10))
        lake.put(f"landing/sessions/day/part-{part:05d}.jsonl.gz", gzip.compress(lines))
    frame = spark.read.schema("number int, text string").json(lake.uri("landing/sessions/day/", "s3a"))
    assert frame.count() == 30
    assert {row.text for row in frame.select("text").distinct().collect()} == {"é\n"}
    spark.range(5).write.parquet(lake.uri("landing/songs/part", "s3a"))
    assert spark.read.parquet(lake.uri("landing/songs/part", "s3a")).count() == 5


def test_an_iceberg_branch_is_written_beside_main_and_moved_to(settings: Settings, spark: "SparkSession") -> None:
    spark.sql(f"create table {TABLE} (number bigint) using iceberg")
    spark.sql(f"alter table {TABLE} create branch audit")
    spark.range(5).toDF("number").writeTo(f"{TABLE}.branch_audit").option("snapshot-property.batch_id", "x").append()
    assert spark.table(TABLE).count() == 0
    assert spark.table(f"{TABLE}.branch_audit").count() == 5
    spark.sql(f"call {CATALOG}.system.fast_forward('{layout.DATABASE}.jars', 'main', 'audit')")
    assert spark.table(TABLE).count() == 5
    assert "x" in [row.summary.get("batch_id") for row in spark.sql(f"select summary from {TABLE}.snapshots").collect()]
    assert open_lake(settings).get_json("none") is None
    assert any("metadata" in key for key in open_lake(settings).keys("transform/"))


def test_deequ_evaluates_dqdl_rules_row_by_row(spark: "SparkSession") -> None:
    declare_spark_version("3.5")
    from pydeequ.dqdl import EvaluateDataQuality

    frame = spark.createDataFrame([("a", 1), ("bb", 1), (None, 2)], "text string, number int")
    rules = 'Rules = [ IsComplete "text", ColumnLength "text" = 1, ColumnValues "number" <= 1 ]'
    outcomes = EvaluateDataQuality.processRows(spark, frame, rules)
    rows = outcomes[EvaluateDataQuality.ROW_LEVEL_OUTCOMES_KEY]
    failed = {(row.text, row.number): len(row.DataQualityRulesFail) for row in rows.collect()}
    assert failed[("a", 1)] == 0
    assert failed[("bb", 1)] == 1
    assert failed[(None, 2)] >= 2
