"""The command line: `python -m purchase_api serve`. Every option can come from the environment, for containers."""

import asyncio
import json
import os
import socket
import sys
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
import uvicorn

from purchase_api.answer import TrackedProtocol
from purchase_api.app import create_app
from purchase_api.errors import SimulatorError
from purchase_api.shop import Plan, Shop
from purchase_api.state import FOLLOWS, State, default_clock
from purchase_api.tracks import Track, invented, read_catalogue, save_tracks, saved_tracks

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)


@app.callback()
def purchase_api() -> None:
    """Simulate the Purchase API, for development and tests."""


@app.command()
def serve(
    host: Annotated[str, typer.Option(envvar="PURCHASE_API_HOST")] = "127.0.0.1",
    port: Annotated[int, typer.Option(envvar="PURCHASE_API_PORT", help="0: any free one", min=0, max=65535)] = 8000,
    seed: Annotated[int, typer.Option(envvar="PURCHASE_API_SEED", help="another seed, another shop")] = 1,
    users: Annotated[int, typer.Option(envvar="PURCHASE_API_USERS", min=1)] = 500,
    sessions_per_day: Annotated[int, typer.Option(envvar="PURCHASE_API_SESSIONS_PER_DAY", min=0)] = 200,
    start: Annotated[
        datetime, typer.Option(envvar="PURCHASE_API_START", formats=["%Y-%m-%d"], help="first day with sessions")
    ] = datetime(2020, 1, 1),  # noqa: DTZ001 - a day; Typer knows no dates
    clock: Annotated[
        str | None,
        typer.Option(
            envvar="PURCHASE_API_CLOCK",
            help="what the logical clock says; a clock that was moved since is kept in --state-dir."
            f" `{FOLLOWS}`: the end of the newest day that anyone has asked sessions of, for schedulers that run day"
            " after day and move no clock. Default: 91 days after --start",
        ),
    ] = None,
    catalog_dsn_env: Annotated[
        str | None,
        typer.Option(
            envvar="PURCHASE_API_CATALOG_DSN_ENV",
            help="environment variable with the libpq string of the database whose deftunes.songs are sold; read when"
            " the first sessions are asked for, then kept in --state-dir. Default: invented tracks",
        ),
    ] = None,
    catalog_dsn_file: Annotated[
        Path | None, typer.Option(envvar="PURCHASE_API_CATALOG_DSN_FILE", help="the same, in a file", dir_okay=False)
    ] = None,
    state_dir: Annotated[
        Path | None, typer.Option(envvar="PURCHASE_API_STATE_DIR", help="where clock and switches outlive a restart")
    ] = None,
    cache_mb: Annotated[
        int, typer.Option(envvar="PURCHASE_API_CACHE_MB", min=1, help="memory for rendered days")
    ] = 512,
) -> None:
    """Serve until stopped; prints {"url": ...} when it listens."""
    plan = Plan(seed, users, sessions_per_day, start.date())
    state = State(clock or default_clock(plan.start), plan.start, state_dir)
    stock = _stock(seed, catalog_dsn_env, catalog_dsn_file, state_dir)
    application = create_app(Shop(plan, stock, state, cache_mb << 20))
    config = uvicorn.Config(
        application,
        http=TrackedProtocol,
        lifespan="off",
        access_log=False,
        log_level="critical",
        date_header=False,
        server_header=False,
        timeout_keep_alive=60,
        timeout_graceful_shutdown=2,
    )
    try:
        listener = socket.create_server((host, port), backlog=256)
    except OSError as error:
        raise SimulatorError(f"expected {host}:{port} to be free, got: {error}. Choose another --port") from error
    typer.echo(json.dumps({"url": f"http://{host}:{listener.getsockname()[1]}"}))
    sys.stdout.flush()
    asyncio.run(uvicorn.Server(config).serve(sockets=[listener]))


def _stock(
    seed: int, dsn_env: str | None, dsn_file: Path | None, state_dir: Path | None
) -> Callable[[], Sequence[Track]]:
    if dsn_env is None and dsn_file is None:
        return partial(invented, seed)
    dsn = _read_dsn(dsn_env, dsn_file)
    kept = state_dir / "assortment.json.gz" if state_dir else None
    if kept is None:
        return partial(read_catalogue, dsn)

    def read_once() -> Sequence[Track]:
        tracks = saved_tracks(kept)
        if tracks is None:
            tracks = read_catalogue(dsn)
            save_tracks(kept, tracks)
        return tracks

    return read_once


def _read_dsn(dsn_env: str | None, dsn_file: Path | None) -> str:
    place = f"the environment variable {dsn_env}" if dsn_env else f"the file {dsn_file}"
    try:
        dsn = dsn_file.read_text().strip() if dsn_file and not dsn_env else os.environ.get(dsn_env or "")
    except OSError as error:
        raise SimulatorError(f"expected a libpq string in {place}, got: {error}") from error
    if not dsn:
        raise SimulatorError(f"expected a libpq string in {place}, got nothing")
    return dsn


def main() -> None:
    """Run the command line; an expected error is one line on stderr and exit code 1."""
    try:
        app()
    except SimulatorError as error:
        typer.echo(f"error: {error}", err=True)
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
