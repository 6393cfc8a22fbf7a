"""What a failed build says, and who has to act."""

from datetime import date
from pathlib import Path

from deftunes.adapters.dbt import Built, Node, Project
from deftunes.core.errors import DeftunesError, RetriableError
from deftunes.core.interval import Interval
from deftunes.model.stage import _failure

INTERVAL = Interval(date(2025, 1, 1), date(2025, 1, 2))
LOG = Path("work/dbt.log")


def test_a_failed_test_is_named_with_its_sql() -> None:
    node = Node("relationships_fact", "test", "Got 2 results, configured to fail if != 0", Path("work/a.sql"))
    error = _failure(Built(4, 3, 5, (node,)), INTERVAL, LOG)
    assert type(error) is DeftunesError
    assert "test relationships_fact: Got 2 results" in str(error)
    assert "work/a.sql" in str(error)
    assert "5 after them were left as they are" in str(error)


def test_a_lost_connection_is_retriable() -> None:
    node = Node("dim_songs", "model", "Database Error server closed the connection unexpectedly", None)
    assert type(_failure(Built(0, 0, 9, (node,)), INTERVAL, LOG)) is RetriableError
    both = (node, Node("dim_users", "model", "Database Error column x does not exist", None))
    assert type(_failure(Built(0, 0, 9, both), INTERVAL, LOG)) is DeftunesError


def test_a_build_that_did_not_begin_points_to_the_log() -> None:
    error = _failure(Built(0, 0, 0, (), problem="Parsing Error"), INTERVAL, LOG)
    assert "Parsing Error" in str(error)
    assert str(LOG) in str(error)


def test_the_digest_is_over_models_and_macros_alone(tmp_path: Path) -> None:
    for folder in ("models", "macros", "tests"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.sql").write_text("select 1")
    project = Project(tmp_path, tmp_path / "work", "local")
    before = project.digest()
    (tmp_path / "tests" / "a.sql").write_text("select 2")
    assert project.digest() == before
    (tmp_path / "macros" / "a.sql").write_text("select 2")
    assert project.digest() != before
