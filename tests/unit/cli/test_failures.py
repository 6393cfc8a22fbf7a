"""How a command ends whatever happens in it: real processes, on a machine that lacks something."""

import errno
import os
import resource
import signal
import subprocess
import sys
import time
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


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "<&- >&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize(("variable", "code"), [("DEFTUNES_LOOK_BACK=1", 0), ("DEFTUNES_LOOK_BACK=most", 2)])
def test_a_stream_that_is_closed_changes_no_exit_code(closed: str, variable: str, code: int) -> None:
    script = f'{variable} exec "$0" -m deftunes env {closed}'
    ended = subprocess.run(["sh", "-c", script, sys.executable], capture_output=True, text=True, check=False)
    assert ended.returncode == code
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("after", [0.15, 0.4, 1.0])
def test_a_signal_ends_a_command_in_order(number: signal.Signals, after: float, tmp_path: Path) -> None:
    """Whenever it comes: while Python imports, while a verb waits for an answer."""
    script = (
        # As from a shell: what was started by nohup or in the background ignores some of them.
        "import signal; [signal.signal(number, signal.SIG_DFL) for number in (1, 2, 15)]\n"
        "import sys, tempfile; from deftunes.cli import main; from deftunes.cli import app, stages\n"
        "sys.argv = ['deftunes', 'env']; import time\n"
        "def wait():\n"
        " with tempfile.TemporaryDirectory() as folder:\n"
        "  print('waiting', flush=True); time.sleep(60)\n"
        "app.app = wait; main()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], env={**os.environ, "TMPDIR": str(tmp_path)}, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        try:
            assert process.stdout
            assert process.stdout.readline() == "waiting\n"
            time.sleep(after)
            process.send_signal(number)
            _, said = process.communicate(timeout=30)
        finally:
            process.kill()
    assert process.returncode == 128 + number
    assert said == "deftunes: stopped by a signal. The same command goes on where this one stopped\n"
    assert list(tmp_path.iterdir()) == []


def test_a_hangup_that_the_caller_ignores_is_ignored() -> None:
    script = 'trap "" HUP; exec "$0" -c "import os, signal; from deftunes.cli import main, app; ' + (
        'app.app = lambda: os.kill(os.getpid(), signal.SIGHUP); main()"'
    )
    assert subprocess.run(["sh", "-c", script, sys.executable], check=False).returncode == 0


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("DEFTUNES_API_ULR", "DEFTUNES_API_URL"),
        ("DEFTUNES_WAREHOUSE_DNS", "DEFTUNES_WAREHOUSE_DSN"),
        ("DEFTUNES_LOOKBACK", "DEFTUNES_LOOK_BACK"),
        ("deftunes_max_rejectd", "DEFTUNES_MAX_REJECTED"),
    ],
)
def test_a_misspelt_setting_is_refused_and_its_value_not_shown(name: str, meant: str) -> None:
    ended = command("env", **{name: SECRET})
    assert ended.returncode == 2
    assert f"got {name}: did you mean {meant}?" in ended.stderr
    assert SECRET not in ended.stderr


def test_names_of_others_with_our_prefix_are_their_affair() -> None:
    others = (
        "DEFTUNES_PORT",
        "DEFTUNES_API_PORT",
        "DEFTUNES_API_SERVICE_HOST",
        "DEFTUNES_RELEASE",
        "DEFTUNES_E2E_KEEP",
    )
    assert command("env", **dict.fromkeys(others, "tcp://10.0.0.1:80")).returncode == 0


def test_a_folder_that_was_deleted_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    script = 'cd "$1" && rmdir "$1" && exec "$0" -m deftunes query "select 1"'
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DEFTUNES_")}
    words = ["sh", "-c", script, sys.executable, str(folder)]
    ended = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "expected to work in a folder that is there" in ended.stderr
