"""Maintenance of silver: what keeps a day's cost flat over years. Changes no row, publishes nothing.

    small files and delete files -> rewritten; old snapshots and the files that only they name -> removed

Its commits carry no batch id, so they are no batch; one that meets a run is refused by Iceberg and done another time.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from deftunes import layout
from deftunes.adapters.catalog import silver_table
from deftunes.adapters.spark import CATALOG
from deftunes.transform.schema import TABLES

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog
    from pyspark.sql import SparkSession

_KEPT_SNAPSHOTS = 20  # a load that lags behind finds what changed since; beyond that it copies everything
_FEW_FILES = 5


@dataclass(frozen=True, slots=True)
class Maintained:
    """What was done to one table."""

    table: str
    files_rewritten: int
    snapshots_before: int
    snapshots_after: int


def maintain(spark: "SparkSession", catalog: "Catalog", keep_days: int) -> Iterator[Maintained]:
    """Tidy every silver table; snapshots younger than `keep_days` stay for time travel and slow loads."""
    older_than = datetime.now(UTC) - timedelta(days=keep_days)
    for name in TABLES:
        before = silver_table(catalog, name)
        if before is None or before.current_snapshot() is None:
            continue
        table = f"{layout.DATABASE}.{name}"
        rewritten = spark.sql(
            f"CALL {CATALOG}.system.rewrite_data_files(table => '{table}', "
            f"options => map('min-input-files', '{_FEW_FILES}', 'delete-file-threshold', '1'))"
        ).first()
        spark.sql(f"CALL {CATALOG}.system.rewrite_position_delete_files(table => '{table}')")
        spark.sql(
            f"CALL {CATALOG}.system.expire_snapshots(table => '{table}', "
            f"older_than => TIMESTAMP '{older_than:%Y-%m-%d %H:%M:%S}', retain_last => {_KEPT_SNAPSHOTS})"
        )
        after = silver_table(catalog, name)
        assert rewritten is not None
        assert after is not None
        yield Maintained(name, rewritten["rewritten_data_files_count"], len(before.snapshots()), len(after.snapshots()))
