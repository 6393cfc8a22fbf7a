import hashlib
import os
from pathlib import Path

import pytest

from deftunes.adapters import jars
from deftunes.adapters.jars import Jar
from deftunes.core.errors import DeftunesError

BODY = b"a jar"
JAR = Jar("org.example", "thing_2.12", "1.0", hashlib.sha256(BODY).hexdigest())


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was fetched. Maven is replaced: `make setup` asks the real one."""
    log: list[str] = []

    def fetch(jar: Jar, repository: Path) -> None:
        log.append(jar.coordinate)
        jar.path(repository).parent.mkdir(parents=True, exist_ok=True)
        jar.path(repository).write_bytes(BODY)

    monkeypatch.setattr(jars, "required", lambda: (JAR,))
    monkeypatch.setattr(jars, "_fetch", fetch)
    return log


def set_up(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`python -m deftunes.adapters.jars`, as `make setup` and the images' build run it."""
    monkeypatch.setattr(jars, "repository", lambda: repository)
    jars.main()


def test_every_pin_is_a_coordinate_and_a_sha_256() -> None:
    pins = jars.required()
    assert len(pins) > 5
    assert all(len(jar.sha256) == 64 and int(jar.sha256, 16) for jar in pins)
    assert "org.apache.iceberg:iceberg-spark-runtime-3.5_2.12:1.10.0" in {jar.coordinate for jar in pins}
    assert len({jar.coordinate for jar in pins}) == len(pins)


def test_a_missing_jar_is_fetched_once(tmp_path: Path, fetched: list[str]) -> None:
    expected = (tmp_path / "org/example/thing_2.12/1.0/thing_2.12-1.0.jar",)
    assert jars.classpath(tmp_path) == expected
    assert jars.classpath(tmp_path) == expected
    assert fetched == [JAR.coordinate]


def test_the_start_of_a_session_reads_no_jar(
    tmp_path: Path, fetched: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    jars.classpath(tmp_path)
    monkeypatch.setattr(jars, "_sha256", lambda path: pytest.fail(f"read {path}"))
    jars.classpath(tmp_path)


@pytest.mark.parametrize("damage", [b"", b"a jas", b"a jar and more"])
def test_a_changed_jar_is_noticed_at_set_up_and_fetched_again(
    tmp_path: Path, fetched: list[str], monkeypatch: pytest.MonkeyPatch, damage: bytes
) -> None:
    path = jars.classpath(tmp_path)[0]
    status = path.stat()
    path.write_bytes(damage)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    set_up(tmp_path, monkeypatch)
    assert path.read_bytes() == BODY
    assert fetched == [JAR.coordinate] * 2


def test_set_up_leaves_a_jar_that_is_right(
    tmp_path: Path, fetched: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    set_up(tmp_path, monkeypatch)
    set_up(tmp_path, monkeypatch)
    assert fetched == [JAR.coordinate]
    assert capsys.readouterr().out == f"1 jars in {tmp_path}\n" * 2


def test_another_pin_for_the_same_coordinate_is_checked_anew_at_set_up(
    tmp_path: Path, fetched: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    jars.classpath(tmp_path)
    other = Jar(JAR.group, JAR.artifact, JAR.version, "0" * 64)
    monkeypatch.setattr(jars, "required", lambda: (other,))
    set_up(tmp_path, monkeypatch)
    assert len(fetched) == 2


def test_a_jar_from_maven_that_differs_from_its_pin_is_not_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jars, "required", lambda: (JAR,))
    sent = tmp_path / "sent.jar"

    class Maven:
        """Stands for jgo: any coordinate resolves to the same file."""

        def __init__(self, **_: object) -> None: ...
        def project(self, *_: str) -> "Maven":
            return self

        at_version = artifact = project

        def resolve(self) -> Path:
            sent.write_bytes(b"something else")
            return sent

    monkeypatch.setattr("jgo.maven.MavenContext", Maven)
    with pytest.raises(DeftunesError, match=r"expected SHA-256 .*, got .* from Maven. It was not kept"):
        jars.classpath(tmp_path / "repository")
    assert not JAR.path(tmp_path / "repository").exists()
