"""Drills take minutes each: `make drills` runs them, `make test` does not."""

from pathlib import Path

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:  # all of the run's, not only this folder's
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.drill)
