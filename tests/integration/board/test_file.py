"""`deftunes board`: a whole file or the one before, and words for every wrong wish."""

import json
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support.cluster import Cluster
from support.silver import T0, session_item, song_row
from support.verbs import EXIT_CODES, Ended, run
from support.warehouse import new_warehouse_pipeline

if TYPE_CHECKING:
    from support.stack import Stack

Verb = Callable[..., Ended]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster() as cluster:
        yield cluster


@pytest.fixture(scope="module")
def board(stack: "Stack", cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Verb:
    """The verb, over a warehouse with one sale."""
    pipeline = new_warehouse_pipeline(stack, tmp_path_factory.mktemp("dbt"), dsn=cluster.dsn())
    pipeline.silver.upsert_songs([song_row(1)])
    pipeline.silver.replace_days({T0.date(): [session_item(1, at=T0)]})
    pipeline.load()
    pipeline.model(T0.date(), T0.date().replace(day=2))
    home = tmp_path_factory.mktemp("home")

    def verb(*arguments: object, **environment: str) -> Ended:
        ended = run(
            ["board", *map(str, arguments)],
            # Both are named, so that no PostgreSQL of its own is started and left behind.
            {
                "DEFTUNES_HOME": str(home),
                "DEFTUNES_SONGS_DSN": cluster.dsn(),
                "DEFTUNES_WAREHOUSE_DSN": cluster.dsn(),
                **environment,
            },
        )
        assert ended.code in EXIT_CODES
        assert "Traceback" not in ended.said
        assert "fault of deftunes" not in ended.said
        return ended

    return verb


def test_a_file_is_written_and_named(board: Verb, tmp_path: Path) -> None:
    out = tmp_path / "a board, of $ales é.html"
    said = json.loads(board("--out", out, "--json").stdout)
    assert said == {"board": str(out), "currencies": ["USD"], "bytes": out.stat().st_size}
    assert out.read_text().rstrip().endswith("</html>")
    assert board().stdout == "" or "board.html" in board().said


@pytest.mark.parametrize("wrong", ["folder", "none/such.html", "file/below.html"])
def test_a_place_that_is_none_is_bad_usage(board: Verb, tmp_path: Path, wrong: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("")
    ended = board("--out", tmp_path / wrong)
    assert ended.code == 2
    assert "expected --out to be a file in a folder that exists" in ended.said


def test_a_device_is_written_to_and_stays_one(board: Verb, tmp_path: Path) -> None:
    ended = board("--out", "/dev/full")
    assert ended.code == 1
    assert "No space left on device" in ended.said
    assert stat.S_ISCHR(Path("/dev/full").stat().st_mode)
    assert board("--out", "/dev/null").code == 0
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)
    (tmp_path / "link.html").symlink_to(tmp_path / "target.html")
    assert board("--out", tmp_path / "link.html").code == 0
    assert (tmp_path / "link.html").is_symlink()
    assert (tmp_path / "target.html").stat().st_size > 1000


@pytest.mark.parametrize("currency", ["XXX", "", "usd", "'; drop table x --", "\N{SNOWMAN}"])
def test_a_currency_without_a_sale_is_bad_usage_and_the_file_stays(board: Verb, tmp_path: Path, currency: str) -> None:
    out = tmp_path / "board.html"
    out.write_text("before")
    ended = board("--out", out, "--currency", currency)
    assert ended.code == 2
    assert "expected a currency in which something was sold (USD)" in ended.said
    assert out.read_text() == "before"
    assert [path.name for path in tmp_path.iterdir()] == ["board.html"]


def test_a_warehouse_that_is_away_or_has_no_views(board: Verb, tmp_path: Path) -> None:
    away = "postgresql://nobody@127.0.0.1:1/none"
    ended = board("--out", tmp_path / "board.html", DEFTUNES_WAREHOUSE_DSN=away)
    assert ended.code == 75
    with Cluster() as empty:
        ended = board("--out", tmp_path / "board.html", DEFTUNES_WAREHOUSE_DSN=empty.dsn())
    assert ended.code == 1
    assert "deftunes run all" in ended.said
    assert list(tmp_path.iterdir()) == []


def test_a_definition_that_is_not_there(board: Verb, tmp_path: Path) -> None:
    ended = board("--out", tmp_path / "board.html", DEFTUNES_DASHBOARDS=str(tmp_path))
    assert ended.code == 1
    assert "DEFTUNES_DASHBOARDS names the folder" in ended.said
