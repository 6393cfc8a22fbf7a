"""How things stand: what `main` holds, what the warehouse has loaded, how the latest runs ended."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from deftunes.adapters.catalog import Refs, silver_table
from deftunes.core import layout
from deftunes.core.entities import Entity
from deftunes.state import quarantine
from deftunes.state.batches import held_manifest

if TYPE_CHECKING:
    from deftunes.adapters.lake import JsonObject, Lake
    from deftunes.resources import Platform

_RUNS = 12
_RUN_DAYS = 7
_THREADS = 8


def entity_states(platform: "Platform") -> list[dict[str, Any]]:
    """One object per entity: its batch on main, rows, rejected records, branches that were not published."""
    held_back = dict.fromkeys(Entity, 0)
    for row in quarantine.listed(platform.catalog, fields=("entity",)):
        held_back[Entity(row["entity"])] += 1
    return [_state(platform, entity, held_back[entity]) for entity in Entity]


def latest_runs(lake: "Lake") -> "list[JsonObject]":
    """The latest stage runs of the last week, newest first."""
    since = datetime.now(UTC) - timedelta(days=_RUN_DAYS)
    keys = sorted(lake.keys("runs/", after=f"runs/{since:%Y-%m-%d}"))[-_RUNS:]
    with ThreadPoolExecutor(_THREADS) as pool:
        runs = [run for run in pool.map(lake.get_json, reversed(keys)) if run]
    return [
        {
            **run,
            "started_at": run["started_at"][:19],
            "interval": "[{}, {})".format(*run["interval"]),
            "outcome": _outcome(run),
        }
        for run in runs
    ]


def _state(platform: "Platform", entity: Entity, held_back: int) -> dict[str, Any]:
    refs = Refs(silver_table(platform.catalog, entity))
    held = held_manifest(platform.lake, refs, entity)
    newest = next(refs.ancestors(refs.main), None)
    summary = newest.summary.additional_properties if newest and newest.summary else {}
    return {
        "entity": entity.value,
        "batch_id": held.batch_id if held else None,
        "interval": str(held.interval) if held else None,
        "rows": int(summary["total-records"]) if "total-records" in summary else 0,
        "received": held.received if held else None,
        "rejected": held.rejected if held else None,
        "in_quarantine": held_back,
        "open_branches": [layout.batch_of_branch(name) for name in refs.branches()],
    }


def _outcome(run: "JsonObject") -> str:
    if "error" in run:
        return f"exit {run['exit']}: {run['error']}"
    return "nothing new" if run["result"].get("nothing_new") else "done"
