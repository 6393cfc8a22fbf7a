"""Look at a dashboard as a reader does: `look.py URL`; the answer is one JSON object on standard output.

It holds what each chart was answered, the requests to other hosts and those that failed, what the console says, the
colours of all texts with their backgrounds, the visible text, and a picture of the whole page.
"""

import argparse
import base64
import json
import sys
import tempfile
import time
from typing import Any
from urllib.parse import parse_qs, urlparse

from playwright.sync_api import Page, Request, Response, sync_playwright

FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-dev-shm-usage", "--disable-sync", "--hide-scrollbars",
]  # fmt: skip
QUIET_SECONDS = 2.0
LONGEST_SECONDS = 90.0
# Every text that is seen: its colour, and that of the nearest thing behind it that has one.
COLOURS = """
() => {
  const seen = new Map();
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = walker.currentNode.textContent.trim();
    const element = walker.currentNode.parentElement;
    const box = element.getBoundingClientRect();
    const style = getComputedStyle(element);
    if (!text || !box.width || !box.height || style.visibility !== "visible" || style.opacity === "0") continue;
    if (element.closest("svg, script, style, noscript, [disabled], [aria-disabled=true]")) continue;
    const layers = [];
    for (let at = element; at; at = at.parentElement) {
      const layer = getComputedStyle(at).backgroundColor;
      if (!/^rgba\\(.*, 0\\)$/.test(layer)) layers.push(layer);
      if (/^rgb\\(/.test(layer)) break;
    }
    const pair = { color: style.color, layers, size: parseFloat(style.fontSize), text: text.slice(0, 40) };
    seen.set(JSON.stringify([pair.color, layers]), pair);
  }
  return [...seen.values()];
}
"""


class Seen:
    """What the page asked for, and what it got."""

    def __init__(self, page: Page, host: str) -> None:
        self.host = host
        self.foreign: set[str] = set()
        self.failed: set[str] = set()
        self.console: list[str] = []
        self.charts: dict[str, Any] = {}
        self.pending: set[Request] = set()
        self.changed = time.monotonic()
        page.on("request", self._asked)
        page.on("response", self._answered)
        page.on("requestfailed", self._failed)
        page.on("requestfinished", self._ended)
        page.on("console", lambda message: self.console.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: self.console.append(f"error: {error}"))

    def _asked(self, request: Request) -> None:
        self.pending.add(request)
        self.changed = time.monotonic()
        if request.url.startswith("http") and urlparse(request.url).netloc != self.host:
            self.foreign.add(request.url)

    def _ended(self, request: Request) -> None:
        self.pending.discard(request)
        self.changed = time.monotonic()

    def _failed(self, request: Request) -> None:
        self._ended(request)
        # What a chart asked before a newer question of its own.
        if request.failure != "net::ERR_ABORTED":
            self.failed.add(f"{request.failure} {request.url}")

    def _answered(self, response: Response) -> None:
        if response.status >= 400:
            self.failed.add(f"{response.status} {response.url}")
        address = urlparse(response.url)
        if address.path in {"/api/v1/chart/data", "/superset/explore_json/"}:
            form = json.loads(parse_qs(address.query).get("form_data", ["{}"])[0])
            if "slice_id" in form:
                self.charts[str(form["slice_id"])] = response.json()

    def wait(self, page: Page) -> None:
        """Until nothing has been asked for a while, and no chart says that it is loading."""
        deadline = time.monotonic() + LONGEST_SECONDS
        while time.monotonic() < deadline:
            page.wait_for_timeout(250)
            is_quiet = not self.pending and time.monotonic() - self.changed > QUIET_SECONDS
            if is_quiet and not page.locator("[data-test=loading-indicator], .loading").count():
                return
        raise TimeoutError(f"still loading after {LONGEST_SECONDS} s: {[request.url for request in self.pending]}")


def main() -> None:
    """Look once."""
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("--width", type=int, default=1440)
    parser.add_argument("--theme", choices=["default", "dark"], default="default")
    parser.add_argument("--clear", action="store_true", help="press Clear All")
    given = parser.parse_args()
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as profile:
        context = playwright.chromium.launch_persistent_context(
            profile, executable_path="/usr/bin/chromium", headless=True, args=FLAGS, locale="en-US",
            timezone_id="UTC", viewport={"width": given.width, "height": 1000},
        )  # fmt: skip
        context.add_init_script(f"localStorage.setItem('superset-theme-mode', '{given.theme}')")
        page = context.new_page()
        seen = Seen(page, urlparse(given.url).netloc)
        began = time.monotonic()
        page.goto(given.url, wait_until="domcontentloaded")
        page.locator("[data-test=chart-container], .slice_container").first.wait_for(timeout=60_000)
        show_all(page, seen)
        seconds = time.monotonic() - began
        if given.clear:
            seen.charts.clear()
            page.get_by_text("Clear All").click()
            show_all(page, seen)
        page.evaluate("window.scrollTo(0, 0)")
        page.wait_for_timeout(1000)
        picture = page.screenshot(full_page=True)
        answer = {
            "charts": seen.charts, "colours": page.evaluate(COLOURS), "console": seen.console,
            "failed": sorted(seen.failed), "foreign": sorted(seen.foreign), "seconds": round(seconds, 1),
            "picture": base64.b64encode(picture).decode(), "text": page.inner_text("body"),
        }  # fmt: skip
        context.close()
    sys.stdout.write(json.dumps(answer))


def show_all(page: Page, seen: Seen) -> None:
    """Scroll to the end, since charts load when they come near; then make the window as high as the page."""
    seen.wait(page)
    for _ in range(30):
        page.mouse.move(page.viewport_size["width"] / 2, 500)
        page.mouse.wheel(0, 700)
        page.wait_for_timeout(150)
    seen.wait(page)
    height = page.evaluate("document.documentElement.scrollHeight")
    page.set_viewport_size({"width": page.viewport_size["width"], "height": height})
    seen.wait(page)


if __name__ == "__main__":
    main()
