from pathlib import Path

import pytest

from deftunes.adapters.java import java_home

PROPERTIES = "printf '    java.home = %s\\n    java.specification.version = %s\\n' '{home}' {version} >&2"


def install(home: Path, version: str, script: str = PROPERTIES) -> Path:
    """A `java` that says it is of this version."""
    program = home / "bin" / "java"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!/bin/sh\n{script.format(home=home, version=version)}\n")
    program.chmod(0o755)
    return home


@pytest.fixture
def on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder on PATH but for the shell's own."""
    folder = tmp_path / "path"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def test_java_home_is_taken_before_path(tmp_path: Path, on_path: Path) -> None:
    declared = install(tmp_path / "with space", "17")
    (on_path / "java").symlink_to(install(tmp_path / "other", "17") / "bin" / "java")
    assert java_home(declared) == declared


def test_java_on_path_is_asked_where_its_home_is(tmp_path: Path, on_path: Path) -> None:
    home = install(tmp_path / "jdk", "17")
    (on_path / "java").symlink_to(home / "bin" / "java")
    assert java_home() == home


@pytest.mark.parametrize("script", [PROPERTIES, "exit 1", "echo nonsense"], ids=["version 21", "fails", "nonsense"])
def test_anything_else_gives_way_to_the_wheel(tmp_path: Path, on_path: Path, script: str) -> None:
    other = install(tmp_path / "jdk", "21", script)
    (on_path / "java").symlink_to(other / "bin" / "java")
    found = java_home(other)
    assert found != other
    assert (found / "bin" / "java").is_file()


def test_without_any_java_the_wheel_s_is_taken(tmp_path: Path, on_path: Path) -> None:
    assert (java_home(tmp_path / "missing") / "bin" / "java").is_file()
