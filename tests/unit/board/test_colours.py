"""The colours of the board's page: readable, and told apart by any eyes, in light and in dark."""

import re
from importlib.resources import files
from itertools import combinations, pairwise

import pytest
from coloraide import Color

import theme

PAGE = (files("deftunes.board") / "page.html.j2").read_text("utf-8")
TEXT_CONTRAST, GRAPHICS_CONTRAST = 4.5, 3.0
TOLD_APART = 12.0  # by CIEDE2000; 2.3 is just noticeable side by side
EYES = (None, "protan", "deutan", "tritan")
Colours = dict[str, str]


def schemes() -> dict[str, Colours]:
    light, dark = (
        dict(re.findall(r"--(\w+): (#\w{6});", block)) for block in re.findall(r":root \{(.*?)\}", PAGE, re.DOTALL)
    )
    return {"light": light, "dark": {**light, **dark}}


SCHEMES = [pytest.param(colours, id=name) for name, colours in schemes().items()]


def contrast(one: str, other: str) -> float:
    return Color(one).contrast(other, method="wcag21")


def test_superset_has_the_same() -> None:
    for colours in schemes().values():
        assert tuple(colours[f"c{number}"] for number in range(4)) == theme.CATEGORIES
    light = schemes()["light"]
    assert tuple(light[f"s{step}"] for step in range(5)) == theme.SEQUENCE
    assert (light["ink"], light["card"], light["page"]) == tuple(
        theme.LIGHT["token"][f"color{name}"] for name in ("Text", "BgContainer", "BgLayout")
    )


@pytest.mark.parametrize("colours", SCHEMES)
def test_text_can_be_read(colours: Colours) -> None:
    pairs = [(text, ground) for text in ("ink", "muted", "warn") for ground in ("card", "page")]
    pairs += [("page", "accent"), *((f"on{step}", f"s{step}") for step in range(5))]
    assert {pair: round(contrast(*(colours[name] for name in pair)), 2) for pair in pairs
            if contrast(*(colours[name] for name in pair)) < TEXT_CONTRAST} == {}  # fmt: skip


@pytest.mark.parametrize("colours", SCHEMES)
def test_bars_stand_out_and_are_told_apart_with_any_eyes(colours: Colours) -> None:
    bars = [colours[f"c{number}"] for number in range(4)]
    assert min(contrast(bar, colours["card"]) for bar in bars) >= GRAPHICS_CONTRAST
    for eyes in EYES:
        seen = [Color(bar).filter(eyes) if eyes else Color(bar) for bar in bars]
        assert min(one.delta_e(other, method="2000") for one, other in combinations(seen, 2)) >= TOLD_APART


@pytest.mark.parametrize("colours", SCHEMES)
@pytest.mark.parametrize("eyes", EYES)
def test_a_sequence_goes_one_way_with_any_eyes(colours: Colours, eyes: str | None) -> None:
    steps = [Color(colours[f"s{step}"]) for step in range(5)]
    light = [(step.filter(eyes) if eyes else step).convert("oklab")["l"] for step in steps]
    assert light in (sorted(light), sorted(light, reverse=True))
    assert min(abs(one - other) for one, other in pairwise(light)) > 0.05
