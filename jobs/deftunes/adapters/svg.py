"""Charts as SVG, by Vega-Lite in vl-convert: rendered here, without a browser and without the network.

The engine takes half a second to start, and lets no other thread of its process run while it works. So it has a process
of its own, this module, which starts while others ask for figures:

    a specification, a line of JSON  ->  python -m deftunes.adapters.svg  ->  its SVG or its fault, a line of JSON
"""

import json
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Self

from deftunes.core.errors import DeftunesError

# Of a thousandth of a pixel nobody sees anything, and a map is made of numbers. In attributes: a text is a figure.
_ATTRIBUTE = re.compile(r'(?<= )(?:d|transform|x2?|y2?|width|height)="[^"]*"')
_DIGITS = re.compile(r"(\d+\.\d)\d+")
# What only a screen reader reads, of each bar (the chart's own table says it better), and what the page says once.
_MARKS = re.compile(r' (?:aria-\w+|role|font-family|stroke-miterlimit|pointer-events)="[^"]*"')
_EMPTY = re.compile(r"></(?:path|line|rect)>")
_NOTHING = {"$schema": "https://vega.github.io/schema/vega/v5.json", "marks": []}


class Pen:
    """The drawing engine, for as long as it is open: it starts at once and draws one chart after the other."""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(  # noqa: S603 - this very module
            [sys.executable, "-P", "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            encoding="utf-8",
        )
        # One thread asks and waits for the answer, so that neither pipe is ever full with both sides writing.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="drawing")
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()  # it keeps nothing
        self._thread.shutdown(cancel_futures=True)
        with suppress(BrokenPipeError), self._process:  # what it did not read is of no use
            pass

    def draw(self, specification: Mapping[str, Any]) -> "Future[str]":
        """A Vega-Lite specification as one `<svg>` that takes the width that it is given.

        The result raises DeftunesError where the engine refuses the specification, or has ended.
        """
        return self._thread.submit(self._exchange, json.dumps(specification))

    def _exchange(self, line: str) -> str:
        sent, received = self._process.stdin, self._process.stdout
        assert sent is not None
        assert received is not None
        answer = ""
        with suppress(BrokenPipeError):
            sent.write(f"{line}\n")
            sent.flush()
            answer = received.readline()
        if not answer:
            raise DeftunesError(
                f"expected a drawing of a chart, but the drawing process ended (exit code {self._process.wait()}). "
                "Is vl-convert-python installed, and is there memory left? Run the command again"
            )
        drawn: dict[str, str] = json.loads(answer)
        if "fault" in drawn:
            raise DeftunesError(f"expected a drawing of a chart, got: {drawn['fault']}")
        return drawn["svg"]


def _draw(specification: str) -> str:
    import vl_convert

    svg = vl_convert.vegalite_to_svg(specification, allowed_base_urls=[])
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*" height="[^"]*"', r"\1", svg, count=1)
    return _ATTRIBUTE.sub(lambda found: _DIGITS.sub(r"\1", found[0]), _EMPTY.sub("/>", _MARKS.sub("", svg)))


def _main() -> None:
    import vl_convert

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches both; whoever opened the pen ends this
    vl_convert.vega_to_svg(_NOTHING)  # the engine's start, before somebody waits for it
    for line in sys.stdin:
        try:
            answer = {"svg": _draw(line)}
        except ValueError as error:
            answer = {"fault": " ".join(str(error).split())}
        sys.stdout.write(f"{json.dumps(answer)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    _main()
