"""Stage publish: `main` moves to the batch that was audited, in one commit, without a JVM.

    finalize main's newest batch -> move main (expects main where the batch began) -> finalize this one

To finalize is what follows from being on main: records that the batch accepted leave quarantine, markers say which
landings main holds, branches that can never be published go. It is idempotent, and the next run does it again if this
one dies in between.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from deftunes.adapters.catalog import Refs, drop_branch, fast_forward_main, silver_table
from deftunes.core import layout
from deftunes.core.entities import Entity
from deftunes.core.errors import NotPreparedError
from deftunes.core.failpoints import Failpoint, crash_point
from deftunes.job import Job
from deftunes.resources import Resources
from deftunes.state import quarantine
from deftunes.state.batches import Batch
from deftunes.state.manifest import Manifest, find_manifest, published_manifest
from deftunes.state.markers import is_marked, write_markers
from deftunes.state.verdicts import audited_snapshot

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog

    from deftunes.adapters.lake import Lake


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What readers see now."""

    entity: Entity
    batch_id: str
    snapshot_id: int


def run(resources: Resources, job: Job) -> Published:
    """Run the stage."""
    return publish(resources.lake, resources.catalog, job.expect_batch())


def publish(lake: "Lake", catalog: "Catalog", batch: Batch) -> Published:
    """Move `main` to the audited batch.

    Raises:
        NotPreparedError: no audit passed for this batch on what `main` holds now.
        RetriableError: another run published first; nothing was changed.
    """
    head = audited_snapshot(catalog, batch)
    table = silver_table(catalog, batch.entity)
    if head is None or table is None:
        raise NotPreparedError(
            f"expected a passed audit of batch {batch.id} of {batch.entity} for {batch.interval}, found none, or main "
            "has moved since; nothing was published"
        )
    # The batch before must be finalized first: its manifest stands in for its markers only while it is main's newest.
    finalize_publish(lake, catalog, batch.entity)
    crash_point(Failpoint.PUBLISH_BEFORE_MAIN)
    try:
        fast_forward_main(table, batch.branch, base=batch.base, head=head)
    except Exception:
        # The answer may have been lost after the commit: whether main descends from it now decides.
        now = Refs(silver_table(catalog, batch.entity))
        if head not in (snapshot.snapshot_id for snapshot in now.ancestors(now.main)):
            raise
    crash_point(Failpoint.PUBLISH_AFTER_MAIN)
    finalize_publish(lake, catalog, batch.entity)
    return Published(entity=batch.entity, batch_id=batch.id, snapshot_id=head)


def finalize_publish(lake: "Lake", catalog: "Catalog", entity: Entity) -> str | None:
    """Finish what follows from main's newest batch being published; its id, or None before the first."""
    manifest = published_manifest(lake, Refs(silver_table(catalog, entity)), entity)
    if manifest is None:
        return None
    if not is_marked(lake, manifest):
        quarantine.release(catalog, entity, manifest.released)
        crash_point(Failpoint.PUBLISH_AFTER_RELEASE)
        write_markers(lake, manifest)
    _drop_stale_branches(lake, catalog, manifest)
    return manifest.batch_id


def _drop_stale_branches(lake: "Lake", catalog: "Catalog", newest: Manifest) -> None:
    """Drop the branch of main's newest batch, and those of batches that were planned on what main held before it."""
    table = silver_table(catalog, newest.entity)
    for branch in Refs(table).branches():
        planned = find_manifest(lake, newest.entity, layout.batch_of_branch(branch))
        if table is not None and planned is not None and planned.parent != newest.batch_id:
            drop_branch(table, branch)
