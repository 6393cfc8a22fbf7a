"""Both engines make the same of generated landings: rows, rejected records with their reasons, verdicts, manifests."""

from typing import TYPE_CHECKING

import pytest

from deftunes.core.entities import Entity
from support.engines import assert_both_make_the_same

if TYPE_CHECKING:
    from support.stack import Stack


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("entity", Entity)
def test_both_make_the_same_of_a_hundred_batches(
    stack: "Stack", request: pytest.FixtureRequest, entity: Entity, seed: int
) -> None:
    assert_both_make_the_same(stack, request, entity, seed, worlds=50)
