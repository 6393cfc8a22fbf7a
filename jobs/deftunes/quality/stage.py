"""Stage quality: the batch on its branch, judged as a whole, with the verdict on record.

    branch's rows of this batch -> every DQDL rule + the share rejected -> quality_results -> passed | refused

An empty batch passes. A refused batch is judged again each time it is asked for: the settings may have changed.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.expressions import And, EqualTo
from pyiceberg.io.pyarrow import schema_to_pyarrow

from deftunes.adapters.catalog import Refs, silver_table
from deftunes.core import layout
from deftunes.core.entities import Entity
from deftunes.core.errors import RefusedError, RetriableError
from deftunes.core.failpoints import Failpoint, reach
from deftunes.state.batches import Batch, Manifest, NotPreparedError, complete_head, read_manifest, written_ids

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog
    from pyiceberg.table import Table
    from pyspark.sql import SparkSession

    from deftunes.adapters.deequ import RuleOutcome
    from deftunes.adapters.lake import Lake
    from deftunes.core.rules import Ruleset

_TRIES = 10


@dataclass(frozen=True, slots=True)
class Audited:
    """A batch that may be published: `snapshot_id` was judged and passed every rule."""

    entity: Entity
    batch_id: str
    snapshot_id: int
    rows: int
    received: int
    rejected: int


def audit(
    open_spark: Callable[[], "SparkSession"],
    lake: "Lake",
    catalog: "Catalog",
    batch: Batch,
    rules: "Ruleset",
    *,
    max_rejected: float,
) -> Audited:
    """Judge the batch on its branch and put the verdict on record.

    Raises:
        RefusedError: a rule failed or too much was rejected; `main` is as it was.
        NotPreparedError: there is no complete branch to judge, or there is none any more.
    """
    head = complete_head(Refs(silver_table(catalog, batch.entity)), batch)
    if head is None:
        raise NotPreparedError(
            f"expected batch {batch.id} of {batch.entity} for {batch.interval} on its branch, found none, or main has "
            "moved since; nothing was published"
        )
    manifest = read_manifest(lake, batch.entity, batch.id)
    outcomes, rows = _judge(open_spark(), batch, head, rules)
    outcomes.append(_share_rejected(manifest, max_rejected))
    reach(Failpoint.QUALITY_BEFORE_RESULTS)
    _record(catalog, manifest, head, rows, outcomes)
    reach(Failpoint.QUALITY_AFTER_RESULTS)
    failed = [outcome for outcome in outcomes if not outcome.passed]
    if failed:
        told = "; ".join(f"{outcome.rule}: {outcome.detail}".rstrip(": ") for outcome in failed)
        raise RefusedError(
            f"batch {batch.id} of {batch.entity} for {batch.interval} is held back, main is as it was: {told}. "
            f"See the records with: deftunes quarantine list {batch.entity}. Then mend the source and run again, or "
            "accept a larger share with DEFTUNES_MAX_REJECTED"
        )
    return Audited(batch.entity, batch.id, head, rows, manifest.received, manifest.rejected)


def was_overtaken(lake: "Lake", catalog: "Catalog", batch: Batch, *, audited: bool) -> bool:
    """Whether transform (and, `audited`, this stage) was done for the batch's interval before something came between.

    That is another run that published or landed, or maintenance: what was done is worth nothing on today's `main`.
    """
    written = written_ids(lake, Refs(silver_table(catalog, batch.entity)), batch)
    return any(not audited or _has_passed(catalog, batch.entity, batch_id) for batch_id in written)


def audited_snapshot(catalog: "Catalog", batch: Batch) -> int | None:
    """The snapshot of this batch whose audit passed, if that is what its branch holds now."""
    head = complete_head(Refs(silver_table(catalog, batch.entity)), batch)
    results = silver_table(catalog, layout.QUALITY_RESULTS)
    if head is None or results is None:
        return None
    verdicts = _verdicts(results, batch.entity, batch.id)
    passed = bool(verdicts) and all(row["passed"] and row["snapshot_id"] == head for row in verdicts)
    return head if passed else None


def _judge(spark: "SparkSession", batch: Batch, head: int, rules: "Ruleset") -> "tuple[list[RuleOutcome], int]":
    from pyspark.sql import functions as F  # noqa: N812, PLC0415 - publish reads verdicts without Spark

    from deftunes.adapters.deequ import RuleOutcome, judge  # noqa: PLC0415
    from deftunes.transform.branch import silver  # noqa: PLC0415

    rows = spark.read.option("snapshot-id", head).table(silver(batch.entity)).where(F.col("batch_id") == batch.id)
    count = rows.count()
    if count == 0:
        return [RuleOutcome(rule.text, True, "no rows") for rule in rules.rules], 0
    return judge(rows, rules), count


def _share_rejected(manifest: Manifest, max_rejected: float) -> "RuleOutcome":
    from deftunes.adapters.deequ import RuleOutcome  # noqa: PLC0415

    share = manifest.rejected / manifest.received if manifest.received else 0.0
    detail = f"{manifest.rejected} of {manifest.received} records rejected ({share:.2%})"
    return RuleOutcome(f"rejected / received <= {max_rejected:g}", share <= max_rejected, detail)


def _record(catalog: "Catalog", manifest: Manifest, head: int, rows: int, outcomes: "list[RuleOutcome]") -> None:
    """One row per rule and batch: judged again, a batch's rows are replaced."""
    shared = {
        "entity": manifest.entity.value,
        "batch_id": manifest.batch_id,
        "snapshot_id": head,
        "rows": rows,
        "received": manifest.received,
        "rejected": manifest.rejected,
    }
    found = [{**shared, "rule": o.rule, "passed": o.passed, "detail": o.detail} for o in outcomes]
    for _ in range(_TRIES):
        table = silver_table(catalog, layout.QUALITY_RESULTS)
        assert table is not None
        verdicts = pa.Table.from_pylist(found, schema=schema_to_pyarrow(table.schema(), include_field_ids=False))
        try:
            if _verdicts(table, manifest.entity, manifest.batch_id):
                table.overwrite(verdicts, overwrite_filter=_of_batch(manifest.entity, manifest.batch_id))
            else:
                table.append(verdicts)
        except CommitFailedException:
            continue
        return
    raise RetriableError("quality_results was changed by other runs again and again; run the command again")


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
