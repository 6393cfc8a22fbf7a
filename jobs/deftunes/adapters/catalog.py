"""The Iceberg tables of silver through the Glue catalog API, read and moved without a JVM (PyIceberg).

Every change of a ref names the snapshot it expects there, so of two runs at once one is refused, never merged.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyiceberg.catalog import load_catalog
from pyiceberg.exceptions import CommitFailedException, NoSuchTableError
from pyiceberg.table import Table
from pyiceberg.table.refs import MAIN_BRANCH, SnapshotRefType
from pyiceberg.table.update import AssertRefSnapshotId, SetSnapshotRefUpdate, TableRequirement, TableUpdate

from deftunes.core import layout
from deftunes.core.errors import DeftunesError, RetriableError

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog
    from pyiceberg.table.snapshots import Snapshot

    from deftunes.core.settings import Settings

BATCH_PROPERTY = "batch_id"
WRITER_PROPERTY = "app-id"  # as Iceberg calls what Spark says of itself


def open_catalog(settings: "Settings") -> "Catalog":
    """The Glue catalog that the settings name; locally the same API at a local endpoint."""
    properties = {
        "type": "glue",
        "warehouse": settings.lake and f"{settings.lake}/{layout.WAREHOUSE_PREFIX}",
        "glue.region": settings.aws_region,
        "s3.region": settings.aws_region,
        "glue.endpoint": settings.aws_endpoint_url,
        "s3.endpoint": settings.aws_endpoint_url_s3,
        "s3.access-key-id": settings.lake_access_key_id and settings.lake_access_key_id.get_secret_value(),
        "s3.secret-access-key": settings.lake_secret_access_key and settings.lake_secret_access_key.get_secret_value(),
    }
    return load_catalog("deftunes", **{name: value for name, value in properties.items() if value})


def silver_table(catalog: "Catalog", name: str) -> Table | None:
    """A silver table as it is now, or None before its first batch."""
    try:
        return catalog.load_table((layout.DATABASE, name))
    except NoSuchTableError:
        return None
    except KeyError as error:
        raise DeftunesError(
            f"expected the Glue API to answer for {layout.DATABASE}.{name}, got an answer without {error}: another "
            "server stands at its address. Check AWS_ENDPOINT_URL"
        ) from error


def rows_of(table: Table | None) -> int:
    """The rows that `main` holds, as Iceberg counted them."""
    snapshot = table.current_snapshot() if table else None
    summary = snapshot.summary.additional_properties if snapshot and snapshot.summary else {}
    return int(summary.get("total-records", 0))


@dataclass(frozen=True, slots=True)
class Refs:
    """The branches of one table at one moment, and how they descend from each other."""

    table: Table | None

    @property
    def main(self) -> int | None:
        """The snapshot that readers see; None before the first batch."""
        return self.head(MAIN_BRANCH)

    def head(self, branch: str) -> int | None:
        """The newest snapshot of a branch, or None if there is no such branch (or it is empty)."""
        ref = self.table.metadata.refs.get(branch) if self.table else None
        return ref.snapshot_id if ref else None

    def branches(self) -> list[str]:
        """All branches but main."""
        refs = self.table.metadata.refs if self.table else {}
        return [
            name
            for name, ref in refs.items()
            if ref.snapshot_ref_type == SnapshotRefType.BRANCH and name != MAIN_BRANCH
        ]

    def ancestors(self, snapshot_id: int | None) -> Iterator["Snapshot"]:
        """The snapshot and those before it, newest first."""
        while self.table is not None and snapshot_id is not None:
            snapshot = self.table.metadata.snapshot_by_id(snapshot_id)
            if snapshot is None:  # expired
                return
            yield snapshot
            snapshot_id = snapshot.parent_snapshot_id

    def batch_of(self, snapshot_id: int | None) -> str | None:
        """The batch that wrote a snapshot, or the nearest one before it (maintenance writes none)."""
        return next(filter(None, map(batch_id_of, self.ancestors(snapshot_id))), None)


def batch_id_of(snapshot: "Snapshot") -> str | None:
    """The batch that wrote this very snapshot."""
    return snapshot.summary.additional_properties.get(BATCH_PROPERTY) if snapshot.summary else None


def writer_of(snapshot: "Snapshot") -> str | None:
    """The Spark application that wrote a snapshot, as Iceberg notes it; the embedded engine notes a name of its own."""
    return snapshot.summary.additional_properties.get(WRITER_PROPERTY) if snapshot.summary else None


def fast_forward_main(table: Table, branch: str, *, base: int | None, head: int) -> None:
    """Move `main` from `base` to `head` of `branch`, which descends from it: one commit.

    Raises:
        RetriableError: `main` or the branch is not (any more) where it was when the batch was audited.
    """
    refs = Refs(table)
    if base not in (None, *(snapshot.snapshot_id for snapshot in refs.ancestors(head))):
        raise RetriableError(f"{branch} of {table.name()[-1]} does not descend from main; nothing was published")
    _commit(
        table,
        (
            SetSnapshotRefUpdate(
                ref_name=MAIN_BRANCH,
                type=SnapshotRefType.BRANCH,
                snapshot_id=head,
                max_ref_age_ms=None,
                max_snapshot_age_ms=None,
                min_snapshots_to_keep=None,
            ),
        ),
        (AssertRefSnapshotId(ref=MAIN_BRANCH, snapshot_id=base), AssertRefSnapshotId(ref=branch, snapshot_id=head)),
    )


def drop_branch(table: Table, branch: str) -> None:
    """Drop a branch if it is there; losing a race for it is no error."""
    if branch in table.metadata.refs:
        try:
            table.manage_snapshots().remove_branch(branch).commit()
        except CommitFailedException:
            table.refresh()


def _commit(table: Table, updates: tuple[TableUpdate, ...], requirements: tuple[TableRequirement, ...]) -> None:
    try:
        table.catalog.commit_table(table, requirements, updates)
    except CommitFailedException as error:
        raise RetriableError(
            f"{table.name()[-1]} was changed by another run meanwhile; nothing was published"
        ) from error
