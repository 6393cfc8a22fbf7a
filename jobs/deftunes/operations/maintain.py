"""Maintenance of silver: what keeps a day's cost flat over years. Changes no row, publishes nothing.

    small files and delete files -> rewritten; old snapshots and the files that only they name -> removed

Its commits carry no batch id, so they are no batch; where one meets a run Iceberg refuses it. That table is left as the
run made it and the others are done, so running again is all it takes.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from deftunes.adapters.catalog import silver_table
from deftunes.adapters.spark import CATALOG
from deftunes.adapters.spark_failures import is_lost_commit
from deftunes.core import layout
from deftunes.core.errors import RetriableError
from deftunes.state.schema import TABLES

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog
    from pyspark.sql import SparkSession

_SNAPSHOTS_RETAINED = 20  # a load that lags behind finds what changed since; beyond that it copies everything
_FEW_FILES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Maintained:
    """What was done to one table."""

    table: str
    files_rewritten: int
    snapshots_before: int
    snapshots_after: int


def maintain(spark: "SparkSession", catalog: "Catalog", keep_days: int) -> Iterator[Maintained]:
    """Maintain every silver table; snapshots younger than `keep_days` stay for time travel and slow loads.

    Raises:
        RetriableError: a run changed some of them meanwhile; the others are done.
    """
    older_than = datetime.now(UTC) - timedelta(days=keep_days)
    lost = []
    for name in TABLES:
        before = silver_table(catalog, name)
        if before is None or before.current_snapshot() is None:
            continue
        try:
            rewritten = _compact_and_expire(spark, f"{layout.DATABASE}.{name}", older_than)
        except Exception as error:
            if not is_lost_commit(error):
                raise
            lost.append(str(name))
            continue
        after = silver_table(catalog, name)
        assert after is not None
        yield Maintained(
            table=name,
            files_rewritten=rewritten,
            snapshots_before=len(before.snapshots()),
            snapshots_after=len(after.snapshots()),
        )
    if lost:
        raise RetriableError(
            f"maintain: a run changed {', '.join(lost)} meanwhile, and its commit stands; every other table is done. "
            "Run the command again when that run has ended"
        )


def _compact_and_expire(spark: "SparkSession", table: str, older_than: datetime) -> int:
    """Returns the number of data files that were rewritten."""
    rewritten = spark.sql(
        f"CALL {CATALOG}.system.rewrite_data_files(table => '{table}', "
        f"options => map('min-input-files', '{_FEW_FILES}', 'delete-file-threshold', '1'))"
    ).first()
    spark.sql(f"CALL {CATALOG}.system.rewrite_position_delete_files(table => '{table}')")
    spark.sql(
        f"CALL {CATALOG}.system.expire_snapshots(table => '{table}', "
        f"older_than => TIMESTAMP '{older_than:%Y-%m-%d %H:%M:%S}', retain_last => {_SNAPSHOTS_RETAINED})"
    )
    assert rewritten is not None
    return int(rewritten["rewritten_data_files_count"])
