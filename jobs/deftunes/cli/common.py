"""What all verbs share: their options, and how they get resources and report what they did."""

import json
import sys
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deftunes.core import layout
from deftunes.core.errors import DeftunesError
from deftunes.core.interval import Interval

if TYPE_CHECKING:
    from deftunes.core.services import Service
    from deftunes.pipeline import Outcome
    from deftunes.resources import Resources


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"expected a day as YYYY-MM-DD, got {text!r}") from None


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
    from deftunes.core import failpoints
    from deftunes.core.settings import read_settings
    from deftunes.embedded import resolve
    from deftunes.resources import Resources

    settings = read_settings()
    failpoints.arm(settings.failpoint)
    resources = Resources(resolve(settings, frozenset(needs)))
    try:
        with aws_failures():
            yield resources
    finally:
        resources.close()


def report(
    resources: "Resources", outcomes: Iterable["Outcome"], interval: Interval, *, as_json: bool
) -> list["Outcome"]:
    """Print each outcome as it comes and keep it in the lake's log of runs, failures too; returns them all."""
    reported: list[Outcome] = []
    run_id = uuid.uuid4().hex[:8]
    started = datetime.now(UTC)
    iterator = iter(outcomes)
    while True:
        try:
            outcome = next(iterator)
        except StopIteration:
            return reported
        except DeftunesError as error:
            _log_run(resources, run_id, "run", "all", interval, started, {"error": str(error), "exit": error.exit_code})
            raise
        result = asdict(outcome.result)
        _log_run(resources, run_id, outcome.stage, outcome.entity or "all", interval, started, {"result": result})
        seconds = (datetime.now(UTC) - started).total_seconds()
        line = {"stage": outcome.stage, "entity": outcome.entity, "seconds": round(seconds, 2), **result}
        if as_json:
            emit(line)
        else:
            say(_sentence(line))
        reported.append(outcome)
        started = datetime.now(UTC)


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


def _log_run(
    resources: "Resources",
    run_id: str,
    stage: str,
    entity: str,
    interval: Interval,
    started: datetime,
    rest: dict[str, Any],
) -> None:
    resources.lake.put_json(
        layout.run_key(stage, entity, run_id, started),
        json.loads(
            json.dumps(
                {
                    "run_id": run_id,
                    "stage": stage,
                    "entity": entity,
                    "interval": [interval.start, interval.end],
                    "started_at": started,
                    "ended_at": datetime.now(UTC),
                    **rest,
                },
                default=str,
            )
        ),
    )
