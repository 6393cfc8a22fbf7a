"""A batch's branch: cut from main, written once, complete or not there.

    CREATE BRANCH at main's snapshot -> one write -> head carries the batch id

A branch whose head does not carry the batch's id, does not descend from main as it was planned, or was written by
two runs at once is worth nothing: it is dropped and written again.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from pyspark.errors import PySparkException
from pyspark.sql import functions as F

from deftunes.adapters.catalog import BATCH_PROPERTY, Refs, drop_branch, silver_table
from deftunes.adapters.spark import CATALOG, spark_name
from deftunes.core.errors import RetriableError
from deftunes.core.failpoints import Failpoint, crash_point
from deftunes.state.batches import complete_head
from deftunes.state.schema import TABLES, create_statement

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyiceberg.catalog import Catalog
    from pyspark.sql import DataFrame, DataFrameWriterV2, SparkSession

    from deftunes.state.batches import Batch


def main_before(spark: "SparkSession", batch: "Batch") -> "DataFrame":
    """What `main` held when the batch was planned; another run may have moved it since, even with this very batch."""
    if batch.base is None:
        return spark.table(spark_name(batch.entity)).limit(0)
    rows = spark.read.option("snapshot-id", batch.base).table(spark_name(batch.entity))
    # A snapshot is read with the columns it was written with.
    added = [column for column in TABLES[batch.entity].columns if column.name not in rows.columns]
    return rows.withColumns({column.name: F.lit(None).cast(column.type) for column in added}) if added else rows


def ensure_tables(spark: "SparkSession", catalog: "Catalog") -> None:
    """Create what is missing; a column that is new in the schema is added, NULL for the past, without a rewrite."""
    for name, table in TABLES.items():
        present = silver_table(catalog, name)
        if present is None:
            spark.sql(create_statement(table, CATALOG))
            continue
        known = {column.name for column in present.schema().columns}
        added = [f"{column.name} {column.type}" for column in table.columns if column.name not in known]
        if added:
            spark.sql(f"ALTER TABLE {spark_name(name)} ADD COLUMNS ({', '.join(added)})")


def write_branch(spark: "SparkSession", catalog: "Catalog", batch: "Batch", write: Callable[[str], None]) -> int:
    """Cut the batch's branch from main and let `write` fill it; returns the snapshot to audit.

    `write` gets the branch's name in Spark SQL; its last commit must be made by `batch_writer`.

    Raises:
        RetriableError: another run took the branch or moved the table meanwhile; nothing was published.
    """
    table = silver_table(catalog, batch.entity)
    assert table is not None
    drop_branch(table, batch.branch)
    at_base = f" AS OF VERSION {batch.base}" if batch.base is not None else ""
    try:
        spark.sql(f"ALTER TABLE {spark_name(batch.entity)} CREATE BRANCH {batch.branch}{at_base}")
        crash_point(Failpoint.TRANSFORM_AFTER_BRANCH)
        write(f"{spark_name(batch.entity)}.branch_{batch.branch}")
    except Exception as error:
        # Spark wraps Iceberg's refusal of a commit in many ways; whether the branch is still ours tells them apart.
        if isinstance(error, PySparkException) or "CommitFailed" in str(error) or "Validation" in str(error):
            now = Refs(silver_table(catalog, batch.entity))
            if now.main != batch.base or now.head(batch.branch) is None:
                raise RetriableError(f"another run changed {batch.entity} meanwhile; nothing was published") from error
        raise
    crash_point(Failpoint.TRANSFORM_AFTER_WRITE)
    head = complete_head(Refs(silver_table(catalog, batch.entity)), batch)
    if head is None:
        raise RetriableError(f"another run wrote to {batch.branch} of {batch.entity} meanwhile; nothing was published")
    return head


def batch_writer(rows: "DataFrame", target: str, batch: "Batch") -> "DataFrameWriterV2":
    """A writer whose commit carries the batch's id; only DataFrame writes can carry it."""
    writer = rows.writeTo(target).option(f"snapshot-property.{BATCH_PROPERTY}", batch.id)
    # Key columns are NOT NULL in silver; that no NULL reaches them is what the row rules made sure of.
    return writer.option("check-nullability", "false")


def delete_rows(spark: "SparkSession", target: str, condition: str, values: "Mapping[str, object]") -> None:
    """Delete rows of a branch, named in Spark SQL; `values` are the condition's parameters. Carries no batch id."""
    spark.sql(f"DELETE FROM {target} WHERE {condition}", dict(values))
