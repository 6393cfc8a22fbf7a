"""`maintain` where a run publishes meanwhile: the other tables are done, and it says to come again."""

from typing import Any

import pytest
from py4j.protocol import Py4JJavaError

from deftunes.core.errors import RetriableError
from deftunes.operations import maintain as maintenance
from deftunes.operations.maintain import maintain
from deftunes.state.schema import TABLES


class ThrownError(Py4JJavaError):
    """What Spark throws, without the JVM that the driver's own class asks for its text."""

    def __init__(self, text: str) -> None:
        Exception.__init__(self, text)

    def __str__(self) -> str:
        return str(self.args[0])


# As Spark 3.5.6 and Iceberg 1.10.0 said it.
LOST = ThrownError(
    "An error occurred while calling o85.sql.\n: java.lang.RuntimeException: Cannot commit rewrite because of a "
    "ValidationException or CommitFailedException. This usually means that this rewrite has conflicted\n\tat org...\n"
    "Caused by: org.apache.iceberg.exceptions.ValidationException: Missing required files to delete: s3://lake/a\n"
)


class Spark:
    """Refuses statements about one table."""

    def __init__(self, table: str, error: Exception) -> None:
        self.table = table
        self.error = error

    def sql(self, statement: str) -> "Spark":
        if f"table => 'deftunes_transform.{self.table}'" in statement:
            raise self.error
        return self

    def first(self) -> dict[str, int]:
        return {"rewritten_data_files_count": 6}


class Table:
    """A table with one snapshot."""

    def current_snapshot(self) -> object:
        return self

    def snapshots(self) -> list[object]:
        return [self]


@pytest.fixture(autouse=True)
def _silver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maintenance, "silver_table", lambda *_: Table())


def done_until(error: type[Exception], spark: Any) -> tuple[list[str], Exception]:
    done = []
    tables = maintain(spark, None, 7)  # type: ignore[arg-type]
    with pytest.raises(error) as failed:  # noqa: PT012 - what was done before it counts
        while True:
            done.append(str(next(tables).table))
    return done, failed.value


def test_a_lost_commit_leaves_no_other_table_undone() -> None:
    done, error = done_until(RetriableError, Spark("songs", LOST))
    assert done == [str(name) for name in TABLES if name != "songs"]
    assert "a run changed songs meanwhile" in str(error)
    assert "Run the command again" in str(error)


def test_any_other_failure_stops_it() -> None:
    done, error = done_until(
        Py4JJavaError, Spark("users", ThrownError("An error occurred\n: java.lang.IllegalState: x"))
    )
    assert done == ["songs"]
    assert "IllegalState" in str(error)
