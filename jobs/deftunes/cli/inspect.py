"""Verbs that inspect: query, status, check, quarantine, doctor, env."""

import csv
import json
import math
import sys
from collections.abc import Sequence
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deftunes.cli.common import End, Json, RunEnd, Start, emit, open_resources, record_runs, report, say
from deftunes.core.entities import Entity
from deftunes.core.errors import DeftunesError
from deftunes.core.interval import Interval
from deftunes.core.services import Service
from deftunes.core.stages import PipelineName

if TYPE_CHECKING:
    from deftunes.adapters.warehouse import QueryResult
    from deftunes.operations.doctor import Check
    from deftunes.resources import Resources

_INSPECT = "Look"


class Format(StrEnum):
    """How `query` prints."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"


def add_query(app: typer.Typer) -> None:
    """`deftunes query`."""

    @app.command(rich_help_panel=_INSPECT)
    def query(
        sql: Annotated[str, typer.Argument(metavar='"SQL"', help="One statement; it cannot write.")],
        form: Annotated[Format, typer.Option("--format", help="How to print the answer.")] = Format.TABLE,
    ) -> None:
        """Ask the warehouse.

        Example: deftunes query "select * from deftunes_bi_views.sales_per_artist_vw limit 5"
        """
        with open_resources(Service.POSTGRES) as resources:
            try:
                answer = resources.warehouse.query(sql)
            except (ValueError, OverflowError) as error:  # a date before our era, say
                raise DeftunesError(
                    f"the answer holds a value that cannot be read: {error}. Cast its column to text: (...)::text"
                ) from error
            show(answer, form)


def add_board(app: typer.Typer) -> None:
    """`deftunes board`."""

    @app.command(rich_help_panel=_INSPECT)
    def board(
        out: Annotated[
            Path | None, typer.Option(metavar="FILE", help="The file to write; by default board.html in DEFTUNES_HOME.")
        ] = None,
        currency: Annotated[
            str | None, typer.Option(metavar="CODE", help="The currency to show first; by default the dashboard's.")
        ] = None,
        as_json: Json = False,
    ) -> None:
        """Write the sales board as one HTML file: no network, no login, for a screen, a telephone or a printer.

        Example: deftunes board --out sales.html --currency EUR
        """
        from deftunes.adapters.svg import Pen
        from deftunes.operations.board import write_board

        with Pen() as pen, open_resources(Service.POSTGRES) as resources:
            written = write_board(resources, pen, out, currency)
        if as_json:
            emit({"board": str(written.path), "currencies": list(written.currencies), "bytes": written.size})
        else:
            say(f"board: {written.path} ({written.size / 1000:,.0f} kB, {', '.join(written.currencies) or 'no sales'})")


def show(answer: "QueryResult", form: Format) -> None:
    """Print an answer; as JSON it is one list of objects and nothing else."""
    if form is Format.JSON:
        import msgspec

        # Money keeps its digits: a number with exactly those the warehouse gave.
        encoder = msgspec.json.Encoder(decimal_format="number", enc_hook=str)
        rows = [dict(zip(answer.columns, map(_as_json, row), strict=True)) for row in answer.rows]
        sys.stdout.write(encoder.encode(rows).decode() + "\n")
    elif form is Format.CSV:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(answer.columns)
        writer.writerows(answer.rows)
    else:
        print_table(None, answer.columns, answer.rows)


def _as_json(value: Any) -> Any:
    """What JSON can hold: it knows neither NaN nor infinity, which become text as PostgreSQL's own JSON has them."""
    if isinstance(value, list):
        return [_as_json(one) for one in value]
    if isinstance(value, float | Decimal) and not math.isfinite(value):
        return str(Decimal(value))
    return value


def print_table(title: str | None, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """A table for a person."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    # As Text: rich would read markup in what a source sent, leave it out, or fail on it.
    table = Table(title=title, title_justify="left", title_style="bold")
    for position, column in enumerate(columns):
        is_number = bool(rows) and isinstance(rows[0][position], int | float | Decimal)
        table.add_column(Text(column), justify="right" if is_number else "left")
    for row in rows:
        table.add_row(
            *(value if isinstance(value, Text) else Text("" if value is None else str(value)) for value in row)
        )
    # Piped away there is no width to fit: nothing is cut.
    Console(width=None if sys.stdout.isatty() else 200).print(table)


def add_status(app: typer.Typer) -> None:
    """`deftunes status`."""

    @app.command(rich_help_panel=_INSPECT)
    def status(as_json: Json = False) -> None:
        """What main holds, what the warehouse has loaded, and how the latest runs ended."""
        from deftunes.operations.status import entity_states, latest_runs

        with open_resources(Service.AWS, Service.POSTGRES) as resources:
            states, runs = entity_states(resources), latest_runs(resources.lake)
            if as_json:
                emit({"entities": states, "runs": runs})
                return
            print_table("Entities", list(states[0]), [list(state.values()) for state in states])
            columns = ["started_at", "stage", "entity", "interval", "outcome"]
            print_table("Latest runs", columns, [[run[name] for name in columns] for run in runs])


def add_check(app: typer.Typer) -> None:
    """`deftunes check`."""

    @app.command(rich_help_panel=_INSPECT)
    def check(
        pipeline: Annotated[PipelineName, typer.Argument(help="songs, api (users and sessions), or all.")],
        start: Start,
        end: End,
        as_json: Json = False,
    ) -> None:
        """Prove that gold shows what was landed for an interval: landings = main = warehouse = gold.

        Example: deftunes check api --start 2020-01-01 --end 2020-01-02
        """
        interval = Interval(start, end)
        with open_resources(Service.AWS, Service.POSTGRES) as resources:
            check_pipeline(resources, pipeline, interval, as_json=as_json)


def check_pipeline(resources: "Resources", pipeline: PipelineName, interval: Interval, *, as_json: bool) -> None:
    """Check, print what was found of each entity, and let the warehouse know how it ended."""
    from deftunes.operations.check import CHECK, Reconciliation
    from deftunes.operations.check import check as reconcile

    def show_found(found: Reconciliation, _: float) -> RunEnd:
        if as_json:
            emit({"check": found.entity, "batch_id": found.batch_id, "sales": found.sales})
        else:
            sales = "".join(f", {n} items {sold} {code}" for code, (n, sold) in (found.sales or {}).items())
            say(f"check {found.entity:<16} gold shows batch {found.batch_id}{sales}")
        return CHECK, found.entity, {"batch_id": found.batch_id}

    found = reconcile(resources, pipeline, interval, on_wait=lambda reason: say(f"check waits: {reason}"))
    record_runs(resources, found, interval, show_found, has_warehouse=True)


def add_quarantine(app: typer.Typer) -> None:
    """`deftunes quarantine list|replay`."""
    quarantine = typer.Typer(no_args_is_help=True, help="Rejected records: why, and another try.")
    app.add_typer(quarantine, name="quarantine", rich_help_panel=_INSPECT)

    @quarantine.command("list")
    def list_(
        entity: Annotated[Entity | None, typer.Argument(help="Only of this entity.")] = None,
        limit: Annotated[int, typer.Option(min=1, help="At most this many (a table only).")] = 20,
        as_json: Json = False,
    ) -> None:
        """Every rejected record, once, with its reasons and its original text. --json prints one list, all of them."""
        from deftunes.state import quarantine as records

        with open_resources(Service.AWS) as resources:
            rows = records.listed(resources.catalog, entity)
            columns = ("entity", "batch_id", "reasons", "record", "source", "day")
            found = [{name: row[name] for name in columns} for row in rows]
        if as_json:
            sys.stdout.write(json.dumps(found, default=str) + "\n")
            return
        shown = [[row["entity"], row["day"], "; ".join(row["reasons"]), _cut(row["record"])] for row in found[:limit]]
        print_table(f"Quarantine: {len(found)} records", ["entity", "day", "reasons", "record"], shown)

    @quarantine.command()
    def replay(
        entity: Annotated[Entity | None, typer.Argument(help="Only of this entity.")] = None, as_json: Json = False
    ) -> None:
        """Judge again what quarantine holds, after a rule or a threshold was changed, and publish what passes now.

        Example: DEFTUNES_MAX_PRICE=3 deftunes quarantine replay sessions
        """
        from deftunes.operations.replay import replays

        with open_resources(Service.AWS, Service.POSTGRES) as resources:
            done = False
            for interval, outcomes in replays(resources, entity):
                done = True
                report(resources, outcomes, interval, as_json=as_json, has_warehouse=True)
        if not done:
            say("quarantine is empty: nothing to replay")


def add_doctor(app: typer.Typer) -> None:
    """`deftunes doctor`."""

    @app.command(rich_help_panel=_INSPECT)
    def doctor(
        aws: Annotated[
            bool, typer.Option("--aws", help="Check what Terraform made in your AWS account instead.")
        ] = False,
        as_json: Json = False,
    ) -> None:
        """Check everything that the platform depends on; each failure comes with what to do about it."""
        from deftunes.cli.failures import explain
        from deftunes.core.settings import prepare_process, read_settings
        from deftunes.operations.doctor import diagnose, diagnose_aws

        settings = read_settings()
        prepare_process(settings)
        checks: list[Check] = list((diagnose_aws if aws else diagnose)(settings, explain))
        if as_json:
            for check in checks:
                emit(check.to_json())
        else:
            from rich.text import Text

            marks = {True: Text("ok", "green"), False: Text("failed", "red")}
            rows = [[marks[check.ok], check.name, check.found, check.remedy] for check in checks]
            print_table(None, ["", "check", "found", "what to do"], rows)
        if not all(check.ok for check in checks):
            raise typer.Exit(1)


def add_env(app: typer.Typer) -> None:
    """`deftunes env`."""

    @app.command(rich_help_panel=_INSPECT)
    def env(as_json: Json = False) -> None:
        """Every setting: its variable, its value now (secrets masked), its meaning."""
        from deftunes.core.settings import described, read_settings

        found = described(read_settings())
        if as_json:
            emit({row.variable: row.value for row in found})
        else:
            print_table(None, ["variable", "now", "meaning"], [[row.variable, row.value, row.meaning] for row in found])


def _cut(record: str) -> str:
    limit = 100
    return record if len(record) <= limit else f"{record[:limit]}…"
