"""A lake of its own for each test of extract, on the S3 of the stack."""

from uuid import uuid4

import pytest

from deftunes.adapters.lake import Lake, open_lake
from support.stack import Stack


@pytest.fixture
def lake(stack: Stack) -> Lake:
    """An empty lake. Cheaper than `settings`, which also empties databases and the catalog."""
    return open_lake(stack.settings.model_copy(update={"lake": f"{stack.settings.lake}/{uuid4()}"}))
