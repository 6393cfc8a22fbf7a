"""How things stand: what `main` holds, what the warehouse has loaded, how the latest runs ended."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from deftunes.adapters.catalog import Refs, rows_of, silver_table
from deftunes.core import layout
from deftunes.core.entities import Entity
from deftunes.core.errors import DeftunesError
from deftunes.state import quarantine
from deftunes.state.manifest import published_manifest
from deftunes.state.trust import ending, recent_runs

if TYPE_CHECKING:
    from deftunes.adapters.lake import JsonObject, Lake
    from deftunes.resources import Resources

_RUNS = 12
_THREADS = 8


def entity_states(resources: "Resources") -> list[dict[str, Any]]:
    """One object per entity: its batch on main, rows, rejected records, branches that were not published."""
    quarantined = dict.fromkeys(Entity, 0)
    for row in quarantine.listed(resources.catalog, fields=("entity",)):
        quarantined[Entity(row["entity"])] += 1
    return [_state(resources, entity, quarantined[entity]) for entity in Entity]


def latest_runs(lake: "Lake") -> "list[JsonObject]":
    """The latest stage runs of the last week, newest first."""
    keys = recent_runs(lake, datetime.now(UTC).date())[-_RUNS:]
    with ThreadPoolExecutor(_THREADS) as pool:
        return [run for run in pool.map(partial(_run, lake), reversed(keys)) if run]


def _run(lake: "Lake", key: str) -> "JsonObject | None":
    try:
        run = lake.get_json(key)
        return run and {
            **run,
            "started_at": run["started_at"][:19],
            "interval": "[{}, {})".format(*run["interval"]),
            "outcome": _outcome(run),
        }
    except (DeftunesError, KeyError, TypeError, IndexError):  # changed by hand: it hides no other
        unreadable = dict.fromkeys(("started_at", "stage", "entity", "interval"), "")
        return {**unreadable, "outcome": f"expected a run record at {lake.uri(key)}, got another text"}


def _state(resources: "Resources", entity: Entity, quarantined: int) -> dict[str, Any]:
    table = silver_table(resources.catalog, entity)
    refs = Refs(table)
    published = published_manifest(resources.lake, refs, entity)
    return {
        "entity": entity.value,
        "batch_id": published.batch_id if published else None,
        "interval": str(published.interval) if published else None,
        "rows": rows_of(table),
        "received": published.received if published else None,
        "rejected": published.rejected if published else None,
        "in_quarantine": quarantined,
        "open_branches": [layout.batch_of_branch(name) for name in refs.branches()],
    }


def _outcome(run: "JsonObject") -> str:
    if "error" in run:
        return f"exit {run['exit']}: {run['error']}"
    return ending(run)[0]
