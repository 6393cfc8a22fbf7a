"""Charts as SVG, by Vega-Lite in vl-convert: rendered here, without a browser and without the network."""

import re
from collections.abc import Mapping
from typing import Any

# Of a thousandth of a pixel nobody sees anything, and a map is made of numbers. In attributes: a text is a figure.
_ATTRIBUTE = re.compile(r'(?<= )(?:d|transform|x2?|y2?|width|height)="[^"]*"')
_DIGITS = re.compile(r"(\d+\.\d)\d+")
# What only a screen reader reads, of each bar (the chart's own table says it better), and what the page says once.
_MARKS = re.compile(r' (?:aria-\w+|role|font-family|stroke-miterlimit|pointer-events)="[^"]*"')
_EMPTY = re.compile(r"></(?:path|line|rect)>")


def draw(specification: Mapping[str, Any]) -> str:
    """A Vega-Lite specification as one `<svg>` that takes the width that it is given."""
    import vl_convert

    svg = vl_convert.vegalite_to_svg(dict(specification), allowed_base_urls=[])
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*" height="[^"]*"', r"\1", svg, count=1)
    return _ATTRIBUTE.sub(lambda found: _DIGITS.sub(r"\1", found[0]), _EMPTY.sub("/>", _MARKS.sub("", svg)))
