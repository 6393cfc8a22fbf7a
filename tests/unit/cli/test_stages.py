"""`deftunes maintain` says in one sentence what stopped it."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
from py4j.protocol import Py4JError
from typer.testing import CliRunner

from deftunes.cli import stages
from deftunes.cli.app import app
from deftunes.core.errors import DeftunesError
from deftunes.core.settings import Settings
from deftunes.operations import maintain as maintenance


def test_an_error_of_spark_becomes_one_of_the_platform(monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def resources(*_: object) -> Iterator[SimpleNamespace]:
        yield SimpleNamespace(spark=None, catalog=None, settings=Settings())

    def tidy(*_: object) -> Iterator[object]:
        raise Py4JError("An error occurred while calling o1.sql.\n: java.lang.IllegalStateException: full")
        yield

    monkeypatch.setattr(stages, "open_resources", resources)
    monkeypatch.setattr(maintenance, "maintain", tidy)
    error = CliRunner().invoke(app, ["maintain"]).exception
    assert type(error) is DeftunesError
    assert str(error).startswith("Spark failed: java.lang.IllegalStateException: full.")
