"""The pictures of the documents: each is shown, small and described, and whoever takes them is told what is missing."""

import os
import subprocess
import sys
from pathlib import Path

from deftunes.core.settings import REPOSITORY
from pictures.take import LARGEST, PICTURES
from support.documents import documents, pictures, tracked

README = REPOSITORY / "README.md"
HERE = REPOSITORY / "docs" / "pictures"


def test_every_picture_is_shown_small_and_described() -> None:
    """That a link leads to one that is there, test_every_path_in_a_document_exists holds."""
    there = {REPOSITORY / path for path in tracked() if path.endswith(".png")}
    shown = {
        (document.parent / target).resolve(): words for document in documents() for words, target in pictures(document)
    }

    assert len(there) >= 3
    assert there == set(shown)
    assert there == {HERE / picture.name for picture in PICTURES}
    assert [path.name for path in there if path.stat().st_size > LARGEST] == []
    assert [path.name for path, words in shown.items() if len(words) < 30] == []
    assert (HERE / "board.png") in {(REPOSITORY / target).resolve() for _, target in pictures(README)}


def take(folder: Path, path: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, str(HERE / "take.py"), str(folder)],
        env={**os.environ, "PATH": str(path)}, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_a_machine_without_docker_is_told_so(tmp_path: Path) -> None:
    ended = take(tmp_path, tmp_path)

    assert ended.returncode == 1
    assert ended.stderr.endswith(
        "make pictures: expected the program docker, found none. Install Docker: docs/docker.md\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_a_platform_that_does_not_start_is_told_so(tmp_path: Path) -> None:
    docker = tmp_path / "bin" / "docker"
    docker.parent.mkdir()
    docker.write_text("#!/bin/sh\necho no engine >&2\nexit 3\n", "utf-8")
    docker.chmod(0o755)
    folder = tmp_path / "pictures"
    folder.mkdir()
    ended = take(folder, docker.parent)

    assert ended.returncode == 1
    assert ended.stderr.endswith(
        "no engine\nmake pictures: expected exit code 0 of `docker compose up --detach --wait`, got 3."
        " Read: docker compose logs\n"
    )
    assert list(folder.iterdir()) == []
