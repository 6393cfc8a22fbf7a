"""Stage publish: `main` moves to the batch that was audited, in one commit, without a JVM.

    settle main's newest batch -> move main (expects main where the batch began) -> settle this one

To settle a batch is what follows from its being on main: records it accepted leave quarantine, markers say which
landings main holds, branches that can never be published go. It is idempotent, and done again by the next run if this
one dies in between.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from deftunes.adapters.catalog import Refs, drop_branch, fast_forward_main, silver_table
from deftunes.core import layout
from deftunes.core.entities import Entity
from deftunes.core.failpoints import Failpoint, reach
from deftunes.quality.stage import audited_snapshot
from deftunes.state import quarantine
from deftunes.state.batches import Batch, Manifest, NotPreparedError, held_manifest, is_marked, write_markers

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog

    from deftunes.adapters.lake import Lake


@dataclass(frozen=True, slots=True)
class Published:
    """What readers see now."""

    entity: Entity
    batch_id: str
    snapshot_id: int


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
    # The batch before must be settled first: its manifest stands in for its markers only while it is main's newest.
    settle(lake, catalog, batch.entity)
    reach(Failpoint.PUBLISH_BEFORE_MAIN)
    try:
        fast_forward_main(table, batch.branch, base=batch.base, head=head)
    except Exception:
        # The answer may have been lost after the commit: whether main descends from it now decides.
        now = Refs(silver_table(catalog, batch.entity))
        if head not in (snapshot.snapshot_id for snapshot in now.ancestors(now.main)):
            raise
    reach(Failpoint.PUBLISH_AFTER_MAIN)
    settle(lake, catalog, batch.entity)
    return Published(batch.entity, batch.id, head)


def settle(lake: "Lake", catalog: "Catalog", entity: Entity) -> None:
    """Finish what follows from main's newest batch being published."""
    manifest: Manifest | None = held_manifest(lake, Refs(silver_table(catalog, entity)), entity)
    if manifest is None:
        return
    if not is_marked(lake, manifest):
        quarantine.release(catalog, entity, manifest.released)
        reach(Failpoint.PUBLISH_AFTER_RELEASE)
        write_markers(lake, manifest)
    _drop_stale_branches(lake, catalog, manifest)


def _drop_stale_branches(lake: "Lake", catalog: "Catalog", newest: Manifest) -> None:
    """Drop the branch of main's newest batch, and those of batches that were planned on what main held before it."""
    table = silver_table(catalog, newest.entity)
    for branch in Refs(table).branches():
        planned = lake.get_json(layout.batch_key(newest.entity, layout.batch_of_branch(branch)))
        if table is not None and planned is not None and planned["parent"] != newest.batch_id:
            drop_branch(table, branch)
