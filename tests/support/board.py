"""A dashboard as a reader's browser shows it, and as his questions to the API are answered."""

import base64
import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from support.containers import ROOT, Json, Platform

IMAGE = "deftunes-test/browser"
BOARD = "/superset/dashboard/deftunes/"
PORT = 8088


def build_browser() -> None:
    """Build the image of the browser, once for all tests."""
    folder = ROOT / "tests" / "e2e" / "browser"
    subprocess.run(["docker", "buildx", "build", "--load", "--tag", IMAGE, str(folder)], check=True)


@dataclass(frozen=True)
class Look:
    """What one look showed: by chart's title the rows that it got, and what else the page did."""

    charts: dict[str, list[Json]]
    colours: list[Json]
    console: list[str]
    failed: list[str]
    foreign: list[str]
    text: str
    seconds: float


@dataclass(frozen=True)
class Board:
    """The dashboard on the platform."""

    platform: Platform

    def look(self, *arguments: str, currency: str | None = None) -> Look:
        """Look at it in a new browser; where DEFTUNES_E2E_PICTURES names a folder, with a picture."""
        service = self.platform.container("superset")
        (network,) = service.attrs["NetworkSettings"]["Networks"]
        url = f"http://superset:{PORT}{BOARD}"
        if currency:
            url += f"?native_filters={chosen(currency)}"
        # Attached: of an answer of a megabyte, a container's log may lack the end.
        done = subprocess.run(
            ["docker", "run", "--rm", "--init", "--memory", "2g", "--network", network, IMAGE, url, *arguments],
            capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-3000:]
        answer = json.loads(done.stdout)
        if folder := os.environ.get("DEFTUNES_E2E_PICTURES"):
            name = "-".join(["board", *([currency] if currency else []), *(word.strip("-") for word in arguments)])
            Path(folder).mkdir(parents=True, exist_ok=True)
            (Path(folder) / f"{name}.png").write_bytes(base64.b64decode(answer["picture"]))
        del answer["picture"]
        titles = {str(chart["id"]): chart["slice_name"] for chart in self.charts()}
        return Look(**{**answer, "charts": {titles[key]: rows(got) for key, got in answer["charts"].items()}})

    def charts(self) -> list[Json]:
        """The charts of the dashboard."""
        found: list[Json] = self.ask("GET", "/api/v1/dashboard/deftunes/charts").json()["result"]
        return found

    def ask(self, method: str, path: str, session: requests.Session | None = None, **given: Any) -> requests.Response:
        """A request of a visitor, or of whoever a session has logged in."""
        url = f"{self.platform.url('superset', PORT)}{path}"
        return (session or requests.Session()).request(method, url, timeout=60, allow_redirects=False, **given)


def chosen(currency: str) -> str:
    """A value of the filter Currency, as the page's address has it."""
    name = "NATIVE_FILTER-currency"
    condition = f"extraFormData:(filters:!((col:currency,op:IN,val:!({currency}))))"
    return f"({name}:({condition},filterState:(label:{currency},value:!({currency})),id:{name},ownState:()))"


def rows(answer: Json) -> list[Json]:
    """A chart's rows; one of the old kind has them without a result around."""
    found: list[Json] = answer["result"][0]["data"] if "result" in answer else answer["data"]
    return found
