"""A batch's branch: cut from main, written once, complete or not there.

    branch at main's snapshot -> without what is replaced, with the batch's rows -> its head carries the batch id

A branch whose head does not carry the batch's id, does not descend from main as it was planned, or was written by
two runs at once is worth nothing: it is dropped and written again.
"""

from typing import TYPE_CHECKING

from deftunes.adapters.catalog import Refs, drop_branch, silver_table
from deftunes.core.engine import BranchWrite
from deftunes.core.errors import RetriableError
from deftunes.core.failpoints import Failpoint, crash_point
from deftunes.state.batches import complete_head

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog

    from deftunes.core.engine import Engine
    from deftunes.state.batches import Batch
    from deftunes.transform.work import Work


def write_branch(engine: "Engine", catalog: "Catalog", batch: "Batch", work: "Work") -> int:
    """Write the batch's branch; returns the snapshot to audit.

    Raises:
        RetriableError: another run took the branch or moved the table meanwhile; nothing was published.
    """
    table = silver_table(catalog, batch.entity)
    assert table is not None
    drop_branch(table, batch.branch)
    engine.write(
        BranchWrite(
            table=batch.entity,
            branch=batch.branch,
            base=batch.base,
            batch_id=batch.id,
            rows=work.rows,
            replaced=work.replaced,
        )
    )
    crash_point(Failpoint.TRANSFORM_AFTER_WRITE)
    head = complete_head(Refs(silver_table(catalog, batch.entity)), batch)
    if head is None:
        raise RetriableError(f"another run wrote to {batch.branch} of {batch.entity} meanwhile; nothing was published")
    return head
