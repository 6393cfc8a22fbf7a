"""Both engines make the same of generated landings: rows, rejected records with their reasons, verdicts, manifests."""

from typing import TYPE_CHECKING

import pytest

from deftunes.core.entities import Entity
from support.engines import make

if TYPE_CHECKING:
    from support.stack import Stack

WORLDS = 40  # each is a batch of its own, and a second one on what the first left
EMBEDDED, SPARK = "embedded", "spark"


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("entity", Entity)
def test_both_make_the_same_of_a_hundred_batches(
    stack: "Stack", request: pytest.FixtureRequest, entity: Entity, seed: int
) -> None:
    embedded = make(stack, request, [EMBEDDED, EMBEDDED], entity, seed, WORLDS)
    # One of two begins with what the other left.
    others = ([SPARK, SPARK], [EMBEDDED, SPARK], [SPARK, EMBEDDED])[seed % 3]
    assert len(embedded.silver) > WORLDS / 2
    assert len(embedded.quarantine) > WORLDS / 4
    assert len(embedded.manifests) == 2
    other = make(stack, request, others, entity, seed, WORLDS)
    for name in ("silver", "quarantine", "verdicts"):
        mine, theirs = set(getattr(embedded, name)), set(getattr(other, name))
        assert sorted(mine - theirs)[:3] == sorted(theirs - mine)[:3], name
    assert other == embedded
