"""The world map is drawn ahead: the page has the countries of today's geometry, as today's engine draws them."""

import json
import re

import world


def test_the_kept_drawing_is_what_would_be_drawn_now() -> None:
    assert world.DRAWN.read_text() == f"{world.draw_world()}\n", "draw it again: make world"


def test_each_country_of_the_geometry_has_its_colour() -> None:
    geometries = json.loads(world.SOURCE.read_text())["objects"]["countries"]["geometries"]
    codes = {geometry["id"] for geometry in geometries if "id" in geometry}
    assert len(codes) > 150
    assert codes <= set(re.findall(r"var\(--(\w+),var\(--land\)\)", world.DRAWN.read_text()))
