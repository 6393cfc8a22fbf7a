import os
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True, scope="module")
def _environment_of_others() -> Iterator[None]:
    """Starting an embedded AWS shows it to every SDK of the process; the other tests have theirs."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)
