"""Stage quality: the batch on its branch, audited as a whole, with the verdict on record.

    branch's rows of this batch -> every DQDL rule + the share rejected -> quality_results -> passed | refused

An empty batch passes. A refused batch is audited again each time it is asked for: the settings may have changed.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from deftunes.adapters.catalog import Refs, silver_table
from deftunes.core.entities import Entity
from deftunes.core.errors import NotPreparedError, RefusedError
from deftunes.core.failpoints import Failpoint, crash_point
from deftunes.core.rules import RuleOutcome, Ruleset
from deftunes.job import Job
from deftunes.resources import Resources
from deftunes.state.batches import Batch, complete_head
from deftunes.state.manifest import Manifest, read_manifest
from deftunes.state.verdicts import record_verdicts

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog

    from deftunes.adapters.lake import Lake
    from deftunes.core.engine import Engine
    from deftunes.resources import OpenEngine


@dataclass(frozen=True, slots=True, kw_only=True)
class Audited:
    """A batch that may be published: `snapshot_id` was audited and passed every rule."""

    entity: Entity
    batch_id: str
    snapshot_id: int
    rows: int
    received: int
    rejected: int


def run(resources: Resources, job: Job) -> Audited:
    """Run the stage."""
    batch = job.expect_batch()
    return audit(
        resources.open_engine,
        resources.lake,
        resources.catalog,
        batch,
        resources.rules(batch.entity),
        max_rejected=resources.settings.max_rejected,
    )


def audit(
    open_engine: "OpenEngine",
    lake: "Lake",
    catalog: "Catalog",
    batch: Batch,
    rules: Ruleset,
    *,
    max_rejected: float,
) -> Audited:
    """Audit the batch on its branch and put the verdict on record.

    Raises:
        RefusedError: a rule failed or too much was rejected; `main` is as it was.
        NotPreparedError: there is no complete branch to audit, or there is none any more.
        NotCompiledError: the engine cannot judge by one of the rules.
    """
    head = complete_head(Refs(silver_table(catalog, batch.entity)), batch)
    if head is None:
        raise NotPreparedError(
            f"expected batch {batch.id} of {batch.entity} for {batch.interval} on its branch, found none, or main has "
            "moved since; nothing was published"
        )
    manifest = read_manifest(lake, batch.entity, batch.id)
    with open_engine(manifest.received) as engine:
        engine.expect_rules(rules)
        outcomes, rows = _evaluate(engine, batch, head, rules)
    outcomes.append(_share_rejected(manifest, max_rejected))
    crash_point(Failpoint.QUALITY_BEFORE_RESULTS)
    record_verdicts(catalog, manifest, head, rows, outcomes)
    crash_point(Failpoint.QUALITY_AFTER_RESULTS)
    failed = [outcome for outcome in outcomes if not outcome.passed]
    if failed:
        reasons = "; ".join(f"{outcome.rule}: {outcome.detail}".rstrip(": ") for outcome in failed)
        raise RefusedError(
            f"batch {batch.id} of {batch.entity} for {batch.interval} is held back, main is as it was: {reasons}. "
            f"See the records with: deftunes quarantine list {batch.entity}. Then mend the source and run again, or "
            "accept a larger share with DEFTUNES_MAX_REJECTED"
        )
    return Audited(
        entity=batch.entity,
        batch_id=batch.id,
        snapshot_id=head,
        rows=rows,
        received=manifest.received,
        rejected=manifest.rejected,
    )


def _evaluate(engine: "Engine", batch: Batch, head: int, rules: Ruleset) -> tuple[list[RuleOutcome], int]:
    engine.silver("batch", batch.entity, head, batch_id=batch.id)
    count = engine.row("select count(*) as rows_of_batch from batch")["rows_of_batch"]
    if count == 0:
        return [RuleOutcome(rule.text, True, "no rows") for rule in rules.rules], 0
    return engine.audit("batch", rules), count


def _share_rejected(manifest: Manifest, max_rejected: float) -> RuleOutcome:
    """What was rejected, as a share of what the source holds: an increment has few songs, and any of them may be bad.

    One record stops nothing, however many items it has and however few others came with it, unless none is allowed.
    """
    compared_with = max(manifest.received, manifest.source_rows)
    share = manifest.rejected / compared_with if compared_with else 0.0
    alone = manifest.records_rejected == 1 and max_rejected > 0
    detail = f"{manifest.rejected} of {compared_with} records rejected ({share:.2%})"
    return RuleOutcome(f"rejected / received <= {max_rejected:g}", alone or share <= max_rejected, detail)
