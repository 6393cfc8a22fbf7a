"""What all verbs share: their options, and how they get resources and report what they did."""

import json
import sys
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from deftunes.core import layout
from deftunes.core.interval import Interval
from deftunes.core.progress import show_progress

if TYPE_CHECKING:
    from deftunes.core.services import Service
    from deftunes.pipeline import Outcome
    from deftunes.resources import Resources

T = TypeVar("T")
RunEnd = tuple[str, str, dict[str, Any]]  # stage, entity, result

# A record's instant outside of these is rejected; and from any day between them a look-back, and the days beside that a
# request overlaps, can be counted.
_FIRST_DAY, _LAST_DAY = date(1900, 1, 1), date(2199, 12, 31)


def _day(text: str) -> date:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"expected a day as YYYY-MM-DD, got {text!r}") from None
    if not _FIRST_DAY <= day <= _LAST_DAY:
        raise typer.BadParameter(f"expected a day from {_FIRST_DAY} to {_LAST_DAY}, got {day}")
    return day


Start = Annotated[date, typer.Option(parser=_day, metavar="YYYY-MM-DD", help="First UTC day.")]
End = Annotated[date, typer.Option(parser=_day, metavar="YYYY-MM-DD", help="The UTC day after the last (exclusive).")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, one object a line, and nothing else on stdout.")]
AcceptShrink = Annotated[
    bool, typer.Option("--accept-shrink", help="Land the answer although it lacks rows that were landed before.")
]
Full = Annotated[bool, typer.Option("--full", help="Songs: read the whole catalogue, not only what changed.")]


@contextmanager
def open_resources(*needs: "Service") -> Iterator["Resources"]:
    """The resources that the settings name, with the embedded services that a verb needs running."""
    from deftunes.adapters.failures import aws_failures
    from deftunes.cli.progress import chosen_display
    from deftunes.core import failpoints
    from deftunes.core.settings import prepare_process, read_settings
    from deftunes.embedded import resolve
    from deftunes.resources import Resources

    settings = read_settings()
    prepare_process(settings)
    failpoints.arm(settings.failpoint)
    show_progress(chosen_display())
    resources = Resources(resolve(settings, frozenset(needs)))
    try:
        with aws_failures():
            yield resources
    finally:
        resources.close()


def report(
    resources: "Resources",
    outcomes: Iterable["Outcome"],
    interval: Interval,
    *,
    as_json: bool,
    has_warehouse: bool,
) -> list["Outcome"]:
    """Print each outcome as it comes and keep it in the log of runs, failures too; returns them all."""

    def show(outcome: "Outcome", seconds: float) -> RunEnd:
        result = asdict(outcome.result)
        line = {"stage": outcome.stage, "entity": outcome.entity, "seconds": round(seconds, 2), **result}
        if as_json:
            emit(line)
        else:
            say(_sentence(line))
        return outcome.stage, str(outcome.entity or "all"), result

    return record_runs(resources, outcomes, interval, show, has_warehouse=has_warehouse)


def record_runs(
    resources: "Resources",
    ends: Iterable[T],
    interval: Interval,
    show: Callable[[T, float], RunEnd],
    *,
    has_warehouse: bool,
) -> list[T]:
    """Show each end of a run as it comes and keep it in the lake's log of runs, failures too; returns them all.

    What happened comes first: a record that cannot be written is a warning, and hides neither outcome nor failure. A
    process that has the warehouse brings what it lacks of them last.
    """
    from deftunes.cli.failures import explain

    shown: list[T] = []
    run_id = uuid.uuid4().hex[:8]
    started = datetime.now(UTC)
    resources.at = None  # a backfill has done other chunks before
    iterator = iter(ends)
    try:
        while True:
            try:
                end = next(iterator)
            except StopIteration:
                return shown
            except Exception as error:
                explained = explain(error)
                failure = {"error": str(explained), "exit": explained.exit_code}
                stage, entity = resources.at or ("run", "all")
                _log_run(resources, run_id, stage, entity, interval, started, failure)
                raise explained from error
            stage, entity, result = show(end, (datetime.now(UTC) - started).total_seconds())
            _log_run(resources, run_id, stage, entity, interval, started, {"result": result})
            shown.append(end)
            started = datetime.now(UTC)
    finally:
        if has_warehouse:
            _bring_trust(resources)


def emit(value: dict[str, Any]) -> None:
    """One JSON object a line on stdout."""
    sys.stdout.write(json.dumps(value, default=str) + "\n")
    sys.stdout.flush()


def say(text: str) -> None:
    """One line for a person, on stderr: stdout is for what was asked for."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def _sentence(line: dict[str, Any]) -> str:
    shown = (
        "rows",
        "written",
        "received",
        "rejected",
        "quarantined",
        "batch_id",
        "nothing_new",
        "changed",
        "unknown_fields",
        "notes",
    )
    facts = []
    for name in shown:
        value = line.get(name)
        if value in (None, [], ()):
            continue
        shown_value = len(value) if isinstance(value, tuple | list) and name == "written" else value
        facts.append(f"{name.replace('_', ' ')} {shown_value}")
    what = " ".join(str(part) for part in (line["stage"], line["entity"]) if part)
    return f"{what:<22} {line['seconds']:>7.2f} s  {', '.join(facts)}"


def _bring_trust(resources: "Resources") -> None:
    from deftunes.cli.failures import explain
    from deftunes.state.trust import bring_trust

    try:
        bring_trust(resources.lake, resources.catalog, resources.warehouse, datetime.now(UTC).date())
    except Exception as error:  # noqa: BLE001 - sales do not wait for what is said of them
        say(f"deftunes: what is held back and how runs ended reaches the BI views with the next run: {explain(error)}")


def _log_run(
    resources: "Resources",
    run_id: str,
    stage: str,
    entity: str,
    interval: Interval,
    started: datetime,
    rest: dict[str, Any],
) -> None:
    from deftunes.adapters.failures import translate
    from deftunes.cli.failures import explain

    record = {
        "run_id": run_id,
        "stage": stage,
        "entity": entity,
        "interval": [interval.start, interval.end],
        "started_at": started,
        "ended_at": datetime.now(UTC),
        **rest,
    }
    try:
        key = layout.run_key(stage, entity, run_id, started)
        resources.lake.put_json(key, json.loads(json.dumps(record, default=str)))
    except Exception as error:  # noqa: BLE001 - whatever it is, what is being recorded matters more
        explained = explain(translate(error) or error)
        say(f"deftunes: `deftunes status` will not show this run of {stage}: {explained}")
