"""Where everything is: the only place where an object key, a database or a table name is made."""

import re
from datetime import UTC, date, datetime

from deftunes.core.entities import Entity

DATABASE = "deftunes_transform"
SERVING_SCHEMA = "deftunes_serving"
BI_SCHEMA = "deftunes_bi_views"
# Book-keeping of load and model inside the warehouse; no reader needs it.
CONTROL_SCHEMA = "deftunes_control"

QUARANTINE = "quarantine"
QUALITY_RESULTS = "quality_results"
# Each of these sells what the facts sell; the others say how far the data can be trusted.
SALES_VIEWS = (
    "sales_per_artist_vw", "sales_per_country_vw", "user_activity_vw", "music_preference_vw", "sales_per_day_vw",
)  # fmt: skip
TRUST_VIEWS = ("data_as_of_vw", "records_held_back_vw", "last_runs_vw")
BI_VIEWS = (*SALES_VIEWS, *TRUST_VIEWS)

RUNS_PREFIX = "runs/"
WAREHOUSE_PREFIX = "transform"  # below the lake: Iceberg's data and metadata
RECEIPT = "receipt.json"
WITHDRAWN = "withdrawn.json"  # beside a receipt: this landing is dated in the future and counts no more
_INSTANT = "%Y%m%dT%H%M%S.%fZ"
_LANDING = re.compile(r"landing/[^/]+/[^/]+/\d{8}T\d{6}\.\d{6}Z-\d{4,}-[0-9a-f]{1,16}", re.ASCII)
SNAPSHOT = "snapshot"  # the one unit of an entity that is a snapshot


def day_unit(day: date) -> str:
    """The landing unit of a UTC day of events."""
    return day.isoformat()


def undated_unit(day: date) -> str:
    """The landing unit beside a day, for records that came with its request and whose time cannot be read."""
    return f"{day.isoformat()}~unplaced"


def day_of_unit(unit: str) -> date:
    """The UTC day that an events' unit belongs to (the day of the request for an undated one)."""
    return date.fromisoformat(unit[:10])


def is_dated(unit: str) -> bool:
    """Whether a unit of events is a day itself, not the records beside it."""
    return "~" not in unit


def landings_prefix(entity: Entity) -> str:
    """All landings of an entity; its units sort by day."""
    return f"landing/{entity}/"


def landing_key(entity: Entity, unit: str, extracted_at: datetime, sequence: int, digest: str) -> str:
    """The folder of one landing. Names sort by age, so the newest one that has a receipt is the one in use."""
    instant = extracted_at.astimezone(UTC).strftime(_INSTANT)
    return f"{landings_prefix(entity)}{unit}/{instant}-{sequence:04d}-{digest[:16]}"


def is_landing(folder: str) -> bool:
    """Whether a folder is named as `landing_key` names one."""
    return _LANDING.fullmatch(folder) is not None


def instant_of_landing(folder: str) -> datetime:
    """The `extracted_at` of the landing in a folder."""
    return datetime.strptime(folder.rpartition("/")[2].split("-")[0], _INSTANT).replace(tzinfo=UTC)


def batch_key(entity: Entity, batch_id: str) -> str:
    """What a batch is made of: written before its branch, never changed."""
    return f"batches/{entity}/{batch_id}.json"


def published_key(entity: Entity, unit: str) -> str:
    """Which landing of a unit `main` holds, under which rules."""
    return f"published/{entity}/{unit}.json"


def runs_of_day(day: date) -> str:
    """Where the run records of a day begin: those of later days sort behind it."""
    return f"{RUNS_PREFIX}{day:%Y-%m-%d}"


def run_key(stage: str, entity: str, run_id: str, started_at: datetime) -> str:
    """The log of one stage run."""
    at = started_at.astimezone(UTC)
    return f"{runs_of_day(at.date())}/{at:%H%M%S.%f}-{stage}-{entity}-{run_id}.json"


def backfill_key(pipeline: str, chunk: str) -> str:
    """Proof that a backfill has finished a chunk."""
    return f"backfills/{pipeline}/{chunk}.json"


def branch(batch_id: str) -> str:
    """The Iceberg branch a batch is audited on."""
    return f"batch_{batch_id}"


def batch_of_branch(branch: str) -> str:
    """The batch that a branch is named after."""
    return branch.removeprefix("batch_")
