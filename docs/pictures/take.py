"""Take the pictures of the documents again: `make pictures`, or `python docs/pictures/take.py [FOLDER]`.

    docker compose  ->  both DAGs green  ->  deftunes board, Superset, Airflow  ->  Chromium  ->  docs/pictures/*.png

What is not up is started, and goes on running. The pictures show what the platform holds: a new one holds the days of
the demo, the same each time. COMPOSE_PROJECT_NAME and .env choose another platform, as they do for compose.
"""

import json
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]
BROWSER = "deftunes-test/browser"
LARGEST = 200_000  # bytes; a page of the documents loads two of them
DAGS = ("deftunes_songs_pipeline_dag", "deftunes_api_pipeline_dag")
# A run takes two minutes on two cores; a machine that does other work takes several times that.
RUN_SECONDS = 900
POLL_SECONDS = 5


class PictureError(Exception):
    """What was expected, what came, and what to do."""


@dataclass(frozen=True)
class Picture:
    """One file, and how the browser takes it. Without an address: of the board as one HTML file."""

    name: str
    address: str | None
    options: tuple[str, ...]


PICTURES = (
    Picture("board.png", None, ("--down-to", "section:visible:has(h2:text-is('New and returning buyers'))")),
    Picture("superset.png", "http://superset:8088/superset/dashboard/deftunes/", ("--await-text", "Sales per day")),
    Picture(
        "airflow.png",
        "http://airflow-api-server:8080/dags/deftunes_api_pipeline_dag",
        ("--height", "640", "--await-text", "extract_sessions"),
    ),
)


def main(folder: Path) -> None:
    """Every picture into the folder.

    Raises:
        PictureError: the platform, a run or a page is not as a picture wants it. Older pictures stay as they are.
    """
    say("starting what is not up: docker compose up -d --wait")
    run("docker", "compose", "up", "--detach", "--wait", next_step="Read: docker compose logs")
    wait_for_runs()
    run("docker", "buildx", "build", "--load", "--quiet", "--tag", BROWSER, str(REPOSITORY / "tests/e2e/browser"))
    board = compose("run", "--rm", "-T", "--entrypoint", "sh", "cli", "-c",
                    "python -m deftunes board --out /tmp/board.html >&2 && cat /tmp/board.html")  # fmt: skip
    network = json.loads(compose("config", "--format", "json"))["networks"]["platform"]["name"]
    taken = {picture.name: take(picture, board, network) for picture in PICTURES}
    for name, content in taken.items():
        (folder / name).write_bytes(content)
        say(f"{folder / name}: {len(content) / 1000:.0f} kB")


def take(picture: Picture, board: bytes, network: str) -> bytes:
    """One picture as PNG. The file's page has no network at all."""
    content = run(
        "docker", "run", "--rm", "--init", "--interactive", "--memory", "2g",
        "--network", network if picture.address else "none", "--entrypoint", "/browser/venv/bin/python",
        BROWSER, "/browser/picture.py", picture.address or "-", *picture.options,
        given=b"" if picture.address else board,
    )  # fmt: skip
    if len(content) > LARGEST:
        raise PictureError(
            f"expected at most {LARGEST} bytes of {picture.name}, got {len(content)}. Let it show less of the page"
        )
    return content


def wait_for_runs() -> None:
    """Until both DAGs have a green run for each day that compose asks for."""
    settings = json.loads(compose("config", "--format", "json"))["services"]["airflow-scheduler"]["environment"]
    first, last = (date.fromisoformat(settings[f"AIRFLOW__DEFTUNES__{end}_DATE"]) for end in ("START", "END"))
    wanted = (last - first).days + 1
    address = f"http://{compose('port', 'airflow-api-server', '8080').decode().strip()}"
    token = asked(f"{address}/auth/token")["access_token"]
    deadline = time.monotonic() + RUN_SECONDS * wanted
    shown = ""
    while True:
        runs = asked(f"{address}/api/v2/dags/~/dagRuns?limit=1000", token)["dag_runs"]
        counts = {dag: Counter(run["state"] for run in runs if run["dag_id"] == dag) for dag in DAGS}
        state = ", ".join(f"{dag}: {dict(count)}" for dag, count in counts.items())
        expected = f"expected {wanted} runs of each DAG with success, got {state}"
        if any(count["failed"] for count in counts.values()):
            raise PictureError(f"{expected}. Read the red task's log: {address}")
        if all(count["success"] >= wanted and count.total() == count["success"] for count in counts.values()):
            return
        if time.monotonic() > deadline:
            raise PictureError(f"{expected} after {RUN_SECONDS * wanted} s. See what they wait for: {address}")
        if state != shown:
            say(f"waiting for {wanted} runs of each DAG: {state}")
            shown = state
        time.sleep(POLL_SECONDS)


def asked(address: str, token: str = "") -> Any:
    """What Airflow answers."""
    request = urllib.request.Request(address, headers={"Authorization": f"Bearer {token}"} if token else {})  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
            return json.load(answer)
    except OSError as error:
        raise PictureError(
            f"expected an answer of {address}, got: {error}. Run: docker compose up -d --wait"
        ) from error


def compose(*arguments: str) -> bytes:
    """What `docker compose` prints."""
    return run("docker", "compose", *arguments)


def run(*command: str, given: bytes = b"", next_step: str = "Run the command to see more") -> bytes:
    """What a command prints; what it says goes on to the terminal."""
    try:
        done = subprocess.run(command, cwd=REPOSITORY, input=given, stdout=subprocess.PIPE, check=False)  # noqa: S603
    except FileNotFoundError as error:
        raise PictureError(f"expected the program {command[0]}, found none. Install Docker: docs/docker.md") from error
    if done.returncode:
        shown = " ".join(command)
        raise PictureError(f"expected exit code 0 of `{shown}`, got {done.returncode}. {next_step}")
    return done.stdout


def say(text: str) -> None:
    """A line for who waits."""
    sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE)
    except PictureError as error:
        sys.exit(f"make pictures: {error}")
