"""A scripted API and a lake in memory for each test of extract."""

from collections.abc import Iterator

import pytest

from support.api import StubApi, stub_api
from support.lakes import MemoryLake


@pytest.fixture
def stub() -> Iterator[StubApi]:
    """An API that answers what the test scripts."""
    with stub_api() as stub:
        yield stub


@pytest.fixture
def lake() -> MemoryLake:
    """An empty lake."""
    return MemoryLake()
