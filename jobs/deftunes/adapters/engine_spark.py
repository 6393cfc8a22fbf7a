"""The engine on Spark: temporary views over the lake and Iceberg, on one machine as on Glue."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pyspark import StorageLevel
from pyspark.errors import PySparkException
from pyspark.sql import functions as F

from deftunes.adapters.catalog import BATCH_PROPERTY, Refs, silver_table
from deftunes.adapters.deequ import evaluate_rules, failed_rules
from deftunes.adapters.spark import spark_name
from deftunes.core import dqdl
from deftunes.core.engine import Between, BranchWrite, Objects, OneOf, SameKey
from deftunes.core.errors import RetriableError
from deftunes.core.failpoints import Failpoint, crash_point
from deftunes.core.rules import RuleOutcome, Ruleset

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog
    from pyspark.sql import Column, DataFrame, SparkSession

    from deftunes.adapters.lake import Lake

_BY_DEEQU = "failed_by_deequ"


class SparkEngine:
    """Tables are temporary views of one session; what is kept and does not fit in memory goes to the disk."""

    def __init__(self, spark: "SparkSession", lake: "Lake", catalog: "Catalog") -> None:
        self._spark = spark
        self._lake = lake
        self._catalog = catalog

    def close(self) -> None:
        """Let go of what was kept."""
        self._spark.catalog.clearCache()

    def expect_rules(self, rules: Ruleset) -> None:
        """See `Engine`; Deequ judges by what is not compiled."""

    def land(self, name: str, columns: Mapping[str, str], objects: Sequence[Objects]) -> None:
        """See `Engine`."""
        ddl = ", ".join(f"{column} {type_}" for column, type_ in columns.items())
        landed = self._spark.createDataFrame([], ddl)
        for each in objects:
            if each.keys:
                landed = landed.union(self._read(each).mapInArrow(each.convert, ddl).select(*columns))
        landed.createOrReplaceTempView(name)

    def _read(self, objects: Objects) -> "DataFrame":
        prefix = self._lake.uri("", "s3a")
        paths = [prefix + key for key in objects.keys]
        if not objects.lines:
            return self._spark.read.parquet(*paths)
        key = F.expr(f"substring(_metadata.file_path, {len(prefix) + 1})")
        return self._spark.read.text(paths, lineSep="\n").select("value", key.alias("path"))

    def silver(
        self,
        name: str,
        table: str,
        snapshot: int | None,
        *,
        columns: Sequence[str] | None = None,
        outside: Between | None = None,
        batch_id: str | None = None,
    ) -> None:
        """See `Engine`."""
        now = self._spark.table(spark_name(table))
        rows = now.limit(0)
        if snapshot is not None:
            rows = self._spark.read.option("snapshot-id", snapshot).table(spark_name(table))
            # A snapshot is read with the columns it was written with.
            added = {
                field.name: F.lit(None).cast(field.dataType) for field in now.schema if field.name not in rows.columns
            }
            rows = rows.withColumns(added) if added else rows
        if outside is not None:
            rows = rows.where(~_condition(outside))
        if batch_id is not None:
            rows = rows.where(F.col("batch_id") == batch_id)
        rows.select(*(columns or now.columns)).createOrReplaceTempView(name)

    def values(self, name: str, column: str, values: Sequence[str]) -> None:
        """See `Engine`."""
        rows = self._spark.createDataFrame([(value,) for value in values], f"{column} string")
        F.broadcast(rows).createOrReplaceTempView(name)

    def define(self, name: str, query: str) -> None:
        """See `Engine`."""
        self._spark.sql(query).createOrReplaceTempView(name)

    def keep(self, name: str, query: str) -> None:
        """See `Engine`."""
        rows = self._spark.sql(query).persist(StorageLevel.MEMORY_AND_DISK)
        # Counted, Spark knows its size: it sends a day's ids to main's rows, but not a year's.
        rows.count()
        rows.createOrReplaceTempView(name)

    def row(self, query: str) -> Mapping[str, Any]:
        """See `Engine`."""
        return self._spark.sql(query).collect()[0].asDict()

    def rows(self, query: str) -> Iterator[Mapping[str, Any]]:
        """See `Engine`; a partition at a time is in memory."""
        for row in self._spark.sql(query).toLocalIterator():
            yield row.asDict()

    def broken(self, name: str, rules: Ruleset) -> str:
        """See `Engine`; what is not compiled is judged by Deequ."""
        compiled, others = dqdl.split(rules)
        if not others.rules:
            return dqdl.broken(compiled)
        column = f"{_BY_DEEQU}_{name}"
        failed_rules(self._spark.table(name), others, column).createOrReplaceTempView(name)
        return f"{dqdl.broken(compiled)}, array_join({column}, chr(10))"

    def audit(self, name: str, rules: Ruleset) -> list[RuleOutcome]:
        """See `Engine`; what is not compiled is judged by Deequ."""
        compiled, others = dqdl.split(rules)
        outcomes = dqdl.outcomes(compiled, self.row(dqdl.audit_query(compiled, name))) if compiled.rules else []
        if others.rules:
            outcomes += evaluate_rules(self._spark.table(name), others)
        by_text = {outcome.rule: outcome for outcome in outcomes}
        return [by_text[rule.text] for rule in rules.rules]

    def write(self, write: BranchWrite) -> None:
        """See `Engine`. The last commit carries the batch's id; a MERGE or a DELETE before it cannot."""
        at_base = f" AS OF VERSION {write.base}" if write.base is not None else ""
        try:
            self._spark.sql(f"ALTER TABLE {spark_name(write.table)} CREATE BRANCH {write.branch}{at_base}")
            crash_point(Failpoint.TRANSFORM_AFTER_BRANCH)
            self._fill(write, f"{spark_name(write.table)}.branch_{write.branch}")
        except Exception as error:
            # Spark wraps Iceberg's refusal of a commit in many ways; whether the branch is still ours tells them apart.
            if isinstance(error, PySparkException) or "CommitFailed" in str(error) or "Validation" in str(error):
                now = Refs(silver_table(self._catalog, write.table))
                if now.main != write.base or now.head(write.branch) is None:
                    raise RetriableError(
                        f"another run changed {write.table} meanwhile; nothing was published"
                    ) from error
            raise

    def _fill(self, write: BranchWrite, target: str) -> None:
        rows = self._spark.sql(write.rows)
        replaced = write.replaced if write.base is not None else None
        if isinstance(replaced, SameKey):
            if not rows.isEmpty():
                rows.createOrReplaceTempView("merged")
                self._spark.sql(
                    f"MERGE INTO {target} t USING merged m ON t.{replaced.column} = m.{replaced.column} "
                    "WHEN MATCHED THEN UPDATE SET * WHEN NOT MATCHED THEN INSERT *"
                )
            rows = rows.limit(0)
        if isinstance(replaced, OneOf):
            # By row, not by an overwrite: that drops whole files, and a compaction mixes instants.
            values = {f"value_{place}": value for place, value in enumerate(replaced.values)}
            self._spark.sql(
                f"DELETE FROM {target} WHERE {replaced.column} IN ({', '.join(f':{name}' for name in values)})", values
            )
        writer = rows.writeTo(target).option(f"snapshot-property.{BATCH_PROPERTY}", write.batch_id)
        # Key columns are NOT NULL in silver; that no NULL reaches them is what the row rules made sure of.
        writer = writer.option("check-nullability", "false")
        if isinstance(replaced, Between):
            writer.overwrite(_condition(replaced))
        else:
            writer.append()


def _condition(between: Between) -> "Column":
    column = F.col(between.column)
    condition: Column = F.lit(False)
    for start, end in between.ranges:
        condition |= (column >= F.lit(start)) & (column < F.lit(end))
    return condition
