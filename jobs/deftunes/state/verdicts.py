"""Verdicts: what the audit of each batch found, rule by rule, in the table `quality_results`."""

from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pyiceberg.expressions import And, EqualTo
from pyiceberg.io.pyarrow import schema_to_pyarrow

from deftunes.adapters.catalog import Refs, silver_table
from deftunes.core import layout
from deftunes.core.entities import Entity
from deftunes.state.batches import Batch, complete_head, superseded_batches
from deftunes.state.commits import commit_retrying

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyiceberg.catalog import Catalog
    from pyiceberg.table import Table

    from deftunes.adapters.lake import Lake
    from deftunes.core.rules import RuleOutcome
    from deftunes.state.manifest import Manifest


def record_verdicts(
    catalog: "Catalog", manifest: "Manifest", head: int, rows: int, outcomes: "Sequence[RuleOutcome]"
) -> None:
    """Record one row per rule and batch: audited again, a batch's rows are replaced."""
    shared = {
        "entity": manifest.entity.value,
        "batch_id": manifest.batch_id,
        "snapshot_id": head,
        "rows": rows,
        "received": manifest.received,
        "rejected": manifest.rejected,
    }
    found = [{**shared, "rule": o.rule, "passed": o.passed, "detail": o.detail} for o in outcomes]

    def replace(table: "Table") -> None:
        verdicts = pa.Table.from_pylist(found, schema=schema_to_pyarrow(table.schema(), include_field_ids=False))
        if _verdicts(table, manifest.entity, manifest.batch_id):
            table.overwrite(verdicts, overwrite_filter=_of_batch(manifest.entity, manifest.batch_id))
        else:
            table.append(verdicts)

    commit_retrying(catalog, layout.QUALITY_RESULTS, replace)


def audited_snapshot(catalog: "Catalog", batch: Batch) -> int | None:
    """The snapshot of this batch whose audit passed, if that is what its branch holds now."""
    head = complete_head(Refs(silver_table(catalog, batch.entity)), batch)
    results = silver_table(catalog, layout.QUALITY_RESULTS)
    if head is None or results is None:
        return None
    verdicts = _verdicts(results, batch.entity, batch.id)
    passed = bool(verdicts) and all(row["passed"] and row["snapshot_id"] == head for row in verdicts)
    return head if passed else None


def is_superseded(lake: "Lake", catalog: "Catalog", batch: Batch, *, audited: bool) -> bool:
    """Whether transform (and, `audited`, quality) was done for the batch's interval before something came between.

    That is another run that published or landed, or maintenance: what was done is worth nothing on today's `main`.
    """
    written = superseded_batches(lake, Refs(silver_table(catalog, batch.entity)), batch)
    return any(not audited or _has_passed(catalog, batch.entity, batch_id) for batch_id in written)


def _has_passed(catalog: "Catalog", entity: Entity, batch_id: str) -> bool:
    """Whether an audit of this batch is on record and passed, whatever became of its branch."""
    results = silver_table(catalog, layout.QUALITY_RESULTS)
    verdicts = _verdicts(results, entity, batch_id) if results else []
    return bool(verdicts) and all(row["passed"] for row in verdicts)


def _verdicts(results: "Table", entity: Entity, batch_id: str) -> list[dict[str, Any]]:
    found = results.scan(row_filter=_of_batch(entity, batch_id), selected_fields=("snapshot_id", "passed"))
    verdicts: list[dict[str, Any]] = found.to_arrow().to_pylist()
    return verdicts


def _of_batch(entity: Entity, batch_id: str) -> And:
    return And(EqualTo(term="entity", value=entity.value), EqualTo(term="batch_id", value=batch_id))
