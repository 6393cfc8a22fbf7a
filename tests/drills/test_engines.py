"""Both engines make the same of ten thousand generated batches of each entity."""

from typing import TYPE_CHECKING

import pytest

from deftunes.core.entities import Entity
from support.engines import assert_both_make_the_same

if TYPE_CHECKING:
    from support.stack import Stack


@pytest.mark.parametrize("seed", range(100, 110))
@pytest.mark.parametrize("entity", Entity)
def test_both_make_the_same_of_a_thousand_batches(
    stack: "Stack", request: pytest.FixtureRequest, entity: Entity, seed: int
) -> None:
    assert_both_make_the_same(stack, request, entity, seed, worlds=500)
