"""How a command ends whatever happens in it: real processes, on a machine that lacks something."""

import errno
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from deftunes.cli.failures import explain
from deftunes.core.errors import DeftunesError, RefusedError, RetriableError

SECRET = "s3cret-Pa55"


def command(
    *words: str, stdout: int | None = subprocess.PIPE, files: int | None = None, **environment: str
) -> "subprocess.CompletedProcess[str]":
    def limit() -> None:
        if files:
            resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))

    return subprocess.run(
        [sys.executable, "-m", "deftunes", *words],
        env={**os.environ, **environment}, stdout=stdout, stderr=subprocess.PIPE, text=True, check=False,
        preexec_fn=limit,
    )  # fmt: skip


@pytest.mark.parametrize("error", [RetriableError, RefusedError, DeftunesError])
def test_ours_stays_what_it_is(error: type[DeftunesError]) -> None:
    ours = error("a sentence")
    assert explain(ours) is ours


def test_a_secret_in_ours_is_masked_and_the_kind_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEFTUNES_WAREHOUSE_DSN", f"postgresql://u:{SECRET}@h/db")
    explained = explain(RetriableError(f"the server said {SECRET}"))
    assert type(explained) is RetriableError
    assert str(explained) == "the server said ***"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("path", ["/data/part", None])
def test_a_full_disk_is_called_a_full_disk(number: int, path: str | None) -> None:
    explained = explain(OSError(number, os.strerror(number), path))
    assert explained.exit_code == 1
    assert str(explained).startswith(f"the disk is full: {os.strerror(number)}{f' for {path}' if path else ''}. Free")


def test_what_nobody_foresaw_is_told_by_kind_and_place_and_kept(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DEFTUNES_HOME", str(tmp_path))
    monkeypatch.setenv("DEFTUNES_API_TOKEN", SECRET)
    (tmp_path / "log").mkdir()

    def fail() -> None:
        raise LookupError(f"someone@example.com {SECRET}")

    with pytest.raises(LookupError) as failed:
        fail()
    explained = explain(failed.value)
    assert explained.exit_code == 1
    assert "unexpected LookupError at cli/test_failures.py:" in str(explained)
    assert "someone" not in str(explained)
    log = tmp_path / "log" / "unexpected.log"
    assert str(log) in str(explained)
    assert log.stat().st_mode & 0o777 == 0o600
    assert "LookupError: someone@example.com ***" in log.read_text()


def test_output_to_a_full_disk_is_told() -> None:
    with Path("/dev/full").open("w") as full:
        ended = command("env", "--json", stdout=full.fileno())
    assert ended.returncode == 1
    assert "the disk is full" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_reader_that_has_seen_enough_is_no_failure_to_tell() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    ended = command("env", stdout=writing)
    os.close(writing)
    assert ended.returncode == 1
    assert ended.stderr == ""


def test_a_name_that_is_no_utf_8_is_refused_in_words() -> None:
    ended = command("env", DEFTUNES_HOME=os.fsdecode(b"/tmp/\xff"))
    assert ended.returncode == 2
    assert "DEFTUNES_HOME" in ended.stderr


def test_any_text_can_be_printed_whatever_the_terminal_s_encoding() -> None:
    ended = command("env", "--json", DEFTUNES_HOME="/tmp/日本", PYTHONIOENCODING="ascii")
    assert (ended.returncode, ended.stderr) == (0, "")


def test_no_file_left_to_open_is_told(tmp_path: Path) -> None:
    ended = command("up", files=12, DEFTUNES_HOME=str(tmp_path / "home"))
    assert ended.returncode == 1, ended.stderr
    assert "Traceback" not in ended.stderr
    assert "expected that this process may have 64 files open at once, got 12. Raise the limit" in ended.stderr
