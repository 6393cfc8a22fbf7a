"""The world map of `deftunes board`, drawn ahead: it is the same on every board, and takes a quarter of a second.

    world.json (countries of Natural Earth 1:110m, TopoJSON)  ->  jobs/deftunes/board/world.svg

A country has the colour `--<its ISO 3166 code>`, which the page sets, or `--land`.
"""

import json
from pathlib import Path

from deftunes.adapters.svg import Pen
from deftunes.board.drawing import SCHEMA
from deftunes.core.settings import REPOSITORY

SOURCE = Path(__file__).with_name("world.json")
DRAWN = REPOSITORY / "jobs" / "deftunes" / "board" / "world.svg"


def draw_world() -> str:
    """The map as one `<svg>`."""
    specification = {
        "$schema": SCHEMA,
        "background": None,
        "width": 720,
        "height": 340,
        "padding": 0,
        "projection": {"type": "equalEarth"},
        "data": {"values": json.loads(SOURCE.read_text()), "format": {"type": "topojson", "feature": "countries"}},
        "transform": [{"calculate": "'var(--' + datum.id + ',var(--land))'", "as": "fill"}],
        "mark": {"type": "geoshape", "stroke": "var(--card)", "strokeWidth": 0.5},
        "encoding": {"color": {"field": "fill", "type": "nominal", "scale": None}},
        "config": {"view": {"stroke": None}},
    }
    with Pen() as pen:
        return pen.draw(specification).result()


if __name__ == "__main__":
    DRAWN.write_text(f"{draw_world()}\n")
