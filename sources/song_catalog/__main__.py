"""The command line: `python -m song_catalog load | mutate | spoil`.

A DSN is read from the environment variable that `--dsn-env` names, so that no password is in a list of processes.
"""

import json
import os
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import psycopg2
import typer
from psycopg2.extensions import connection as Connection  # noqa: N812 - a class, named in lower case by the driver

from song_catalog.changes import mutate, spoil
from song_catalog.errors import CatalogError
from song_catalog.generator import generate
from song_catalog.loader import is_loaded, load_csv, load_songs, read_sqlite

app = typer.Typer(
    help="Fill and change deftunes.songs, for development.", no_args_is_help=True, pretty_exceptions_enable=False
)
DsnEnv = Annotated[str, typer.Option(help="environment variable that holds the libpq string of the database")]
Seed = Annotated[int, typer.Option(help="another seed, other songs")]
Count = Annotated[int, typer.Option(min=0)]


@app.command("load")
def load_command(
    dsn_env: DsnEnv,
    file: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="MSD's songs.csv[.gz] or track_metadata.db")
    ] = None,
    rows: Annotated[int, typer.Option(min=0, help="songs to make up where no file is given")] = 10_000,
    seed: Seed = 1,
    replace: Annotated[bool, typer.Option("--replace", help="replace the table if there is one")] = False,
    if_missing: Annotated[bool, typer.Option("--if-missing", help="leave a table that is there as it is")] = False,
) -> None:
    """Create schema and table and fill it, in one transaction."""
    started = time.monotonic()
    with _connected(dsn_env) as connection:
        if if_missing and is_loaded(connection):
            loaded = 0
        elif file is None:
            loaded = load_songs(connection, generate(seed, rows), replace=replace)
        elif file.suffix in {".db", ".sqlite"}:
            loaded = load_songs(connection, read_sqlite(file), replace=replace)
        elif file.name.endswith((".csv", ".csv.gz")):
            loaded = load_csv(connection, file, replace=replace)
        else:
            raise CatalogError(f"expected a file .csv, .csv.gz or .db, got {file.name}")
    typer.echo(json.dumps({"rows": loaded, "seconds": round(time.monotonic() - started, 2)}))


@app.command("mutate")
def mutate_command(dsn_env: DsnEnv, seed: Seed, updates: Count = 0, inserts: Count = 0, deletes: Count = 0) -> None:
    """Update, insert and delete songs, in one transaction."""
    with _connected(dsn_env) as connection:
        done = mutate(connection, seed=seed, updates=updates, inserts=inserts, deletes=deletes)
    typer.echo(json.dumps(asdict(done)))


@app.command("spoil")
def spoil_command(
    dsn_env: DsnEnv,
    kinds: Annotated[str, typer.Option(help="kinds by name, with commas between; all; or none to undo")] = "all",
) -> None:
    """Insert songs that break the rules of quality, and print them."""
    names = {"all": None, "none": []}.get(kinds, kinds.split(","))
    with _connected(dsn_env) as connection:
        done = spoil(connection, names)
    typer.echo(json.dumps([case.to_json() for case in done], ensure_ascii=False))


@contextmanager
def _connected(dsn_env: str) -> Iterator[Connection]:
    dsn = os.environ.get(dsn_env)
    if not dsn:
        raise CatalogError(f"expected a libpq string in the environment variable {dsn_env}, got nothing")
    try:
        opened = psycopg2.connect(dsn)
    except psycopg2.OperationalError as error:
        raise CatalogError(f"expected PostgreSQL at the address in {dsn_env}, got: {error}") from error
    with closing(opened) as connection:
        yield connection


def main() -> None:
    """Run the command line; an expected error is one line on stderr and exit code 1."""
    try:
        app()
    except CatalogError as error:
        typer.echo(f"error: {error}", err=True)
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
