"""Take a picture of a page: `picture.py URL --width 1440`, or `picture.py - < page.html`; a PNG on standard output.

The page is scrolled through first, since parts of it may load when they come near, and must be quiet: nothing asked for
2 seconds, nothing loading, nothing failed. With a palette of 256 colours the file is less than half as large.
"""

import argparse
import io
import sys
import tempfile
from pathlib import Path
from urllib.parse import urlparse

from look import FLAGS, Seen, show_all
from PIL import Image
from playwright.sync_api import FloatRect, Page, sync_playwright

COLOURS = 256
MARGIN = 16  # pixels below the part that a picture ends with


def main() -> None:
    """Take one picture."""
    parser = argparse.ArgumentParser()
    parser.add_argument("page", help="an address, or - for HTML on standard input")
    parser.add_argument("--width", type=int, default=1440, help="of the window, in pixels")
    parser.add_argument("--height", type=int, help="of the window, and the picture; by default as high as the page")
    parser.add_argument("--down-to", metavar="SELECTOR", help="the picture ends below this part of the page")
    parser.add_argument("--scheme", choices=["light", "dark"], default="light")
    parser.add_argument("--await-text", help="a text that a page without it is not finished")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        url = given.page
        if url == "-":
            page = Path(work) / "page.html"
            page.write_bytes(sys.stdin.buffer.read())
            url = page.as_uri()
        picture = taken(url, work, given)
    sys.stdout.buffer.write(quantized(picture))


def taken(url: str, work: str, given: argparse.Namespace) -> bytes:
    """The picture as Chromium makes it."""
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            str(Path(work) / "profile"), executable_path="/usr/bin/chromium", headless=True, args=FLAGS, locale="en-US",
            timezone_id="UTC", viewport={"width": given.width, "height": given.height or 1000},
            color_scheme=given.scheme, reduced_motion="reduce",
        )  # fmt: skip
        page = context.new_page()
        seen = Seen(page, urlparse(url).netloc)
        page.goto(url, wait_until="domcontentloaded")
        if given.await_text:
            page.get_by_text(given.await_text).first.wait_for(timeout=60_000)
        if given.height:
            seen.wait(page)
        else:
            show_all(page, seen)
        page.evaluate("window.scrollTo(0, 0)")
        page.wait_for_timeout(1000)
        if seen.failed:
            sys.exit(f"expected a page without a failed request, got: {', '.join(sorted(seen.failed))}")
        picture: bytes = page.screenshot(clip=down_to(page, given.down_to) if given.down_to else None)
        context.close()
    return picture


def down_to(page: Page, selector: str) -> FloatRect:
    """The page from its top to just below its first part that the selector finds."""
    box = page.locator(selector).first.bounding_box()
    if not box:
        sys.exit(f"expected a part of the page that {selector!r} finds, got none that is shown")
    return {"x": 0, "y": 0, "width": page.viewport_size["width"], "height": box["y"] + box["height"] + MARGIN}


def quantized(picture: bytes) -> bytes:
    """The same picture with a palette; not dithered, which would cover even colours with dots."""
    image = Image.open(io.BytesIO(picture)).convert("RGB")
    out = io.BytesIO()
    image.quantize(COLOURS, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(out, "PNG", optimize=True)
    return out.getvalue()


if __name__ == "__main__":
    main()
