"""Charts as SVG, by Vega-Lite in vl-convert: rendered here, without a browser and without the network.

The engine takes half a second to start, and lets no other thread of its process run while it works. So it has a process
of its own, this module, which starts while others ask for figures:

    a specification  ->  python -m deftunes.adapters.svg  ->  its SVG or its fault
"""

import re
import signal
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Self

from deftunes.adapters.child import Child, ChildEndedError, serve
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
        self._child = Child(__name__, quiet=True)
        # One thread asks and waits for the answer, so that neither pipe is ever full with both sides writing.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="drawing")
        return self

    def __exit__(self, *_: object) -> None:
        self._child.kill()  # it keeps nothing
        self._thread.shutdown(cancel_futures=True)
        self._child.end()

    def draw(self, specification: Mapping[str, Any]) -> "Future[str]":
        """A Vega-Lite specification as one `<svg>` that takes the width that it is given.

        The result raises DeftunesError where the engine refuses the specification, or has ended.
        """
        return self._thread.submit(self._exchange, specification)

    def _exchange(self, specification: Mapping[str, Any]) -> str:
        try:
            drawn: dict[str, str] = self._child.ask(specification)
        except ChildEndedError as ended:
            raise DeftunesError(
                f"expected a drawing of a chart, but the drawing process ended ({ended}). "
                "Is vl-convert-python installed, and is there memory left? Run the command again"
            ) from None
        if "fault" in drawn:
            raise DeftunesError(f"expected a drawing of a chart, got: {drawn['fault']}")
        return drawn["svg"]


def _draw(specification: Mapping[str, Any]) -> dict[str, str]:
    import vl_convert

    try:
        svg = vl_convert.vegalite_to_svg(dict(specification), allowed_base_urls=[])
    except ValueError as error:
        return {"fault": " ".join(str(error).split())}
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*" height="[^"]*"', r"\1", svg, count=1)
    smaller = _EMPTY.sub("/>", _MARKS.sub("", svg))
    return {"svg": _ATTRIBUTE.sub(lambda found: _DIGITS.sub(r"\1", found[0]), smaller)}


def _main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches both; whoever opened the pen ends this

    import vl_convert

    vl_convert.vega_to_svg(_NOTHING)  # the engine's start, before somebody waits for it
    serve(_draw)


if __name__ == "__main__":
    _main()
