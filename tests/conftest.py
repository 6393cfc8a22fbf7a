"""Fixtures that every layer shares. Builders and fakes are in `support/`."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest

from deftunes.core.settings import Settings

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from support.stack import Stack

# How long an example takes says what else the machine does.
hypothesis.settings.register_profile("deftunes", deadline=None)
hypothesis.settings.load_profile("deftunes")

# A developer's own settings must not reach a test: not a real lake, not a real account. The tests' own stay.
for _name in list(os.environ):
    if _name.startswith(("DEFTUNES_", "AWS_")) and not _name.startswith(("DEFTUNES_REQUIRE_", "DEFTUNES_E2E_")):
        del os.environ[_name]


# What is fast comes first, so that a broken rule is not found behind minutes of Spark; then what takes longest, so that
# no worker is left with it in the end.
_ORDER = (
    "unit", "contract", "integration/pipeline", "integration/operations", "drills", "integration", "dags", "e2e",
)  # fmt: skip
# Layers that `make test` leaves out.
_MARKS = {"drills": pytest.mark.drill, "e2e": pytest.mark.docker}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark and order the layers, and keep on one worker what is shared: a file, Terraform's plan, Airflow's runs."""
    root = Path(__file__).parent
    for item in items:
        name = item.path.relative_to(root).as_posix()
        shared = next((group for group in ("test_terraform", "dags/") if group in name), name)
        item.add_marker(pytest.mark.xdist_group(shared))
        mark = _MARKS.get(name.partition("/")[0])
        if mark:
            item.add_marker(mark)
    items.sort(key=lambda item: _place(item.path.relative_to(root).as_posix()))


def _place(name: str) -> int:
    return next((place for place, folder in enumerate(_ORDER) if name.startswith(f"{folder}/")), len(_ORDER))


@pytest.fixture(scope="session")
def stack() -> "Iterator[Stack]":
    """S3, Glue, Secrets Manager and PostgreSQL, started once. What a test finds in them is what others left."""
    from support.stack import open_stack

    opened = open_stack()
    yield opened
    opened.close()


@pytest.fixture
def settings(stack: "Stack") -> Settings:
    """Settings over an empty lake, no silver table and two empty databases."""
    return stack.reset()


@pytest.fixture(scope="session")
def spark(stack: "Stack") -> "Iterator[SparkSession]":
    """The one Spark session of the test run, on the stack's lake and catalog."""
    from deftunes.adapters.jars import classpath
    from deftunes.adapters.java import java_home
    from deftunes.adapters.spark import open_spark

    session = open_spark(stack.settings, classpath(), java_home())
    yield session
    session.stop()
