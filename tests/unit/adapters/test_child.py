"""A child answers in order, says that it is gone, and does not outlive its parent."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from deftunes.adapters.child import Child, ChildEndedError

WORK = """
import os, sys, time
from deftunes.adapters.child import serve

def work(request):
    print("said by a library")
    if request == "exit":
        os._exit(7)
    if request == "sleep":
        time.sleep(60)
    return None if request == "nothing" else {"got": request}

serve(work)
"""
# Starts a child, has it work or wait, says its pid, and waits to be killed.
PARENT = """
import sys, time
from deftunes.adapters.child import Child

child = Child("echo")
assert child.ask("a") == {"got": "a"}
child.tell(sys.argv[1])
print(child.pid, flush=True)
time.sleep(60)
"""


@pytest.fixture(autouse=True)
def _module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "echo.py").write_text(WORK)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))


def test_requests_are_answered_in_order_and_nothing_that_is_printed_is_an_answer() -> None:
    child = Child("echo", quiet=True)
    child.tell("nothing")
    requests = ["ü🎵\n", ["x" * 200_000], None, {"a": 1}]
    assert [child.ask(request) for request in requests] == [{"got": request} for request in requests]
    child.end()
    assert not child.is_alive


def test_a_child_that_ends_is_an_error_with_its_exit_code() -> None:
    child = Child("echo", quiet=True)
    with pytest.raises(ChildEndedError, match="exit code 7"):
        child.ask("exit")
    with pytest.raises(ChildEndedError, match="exit code 7"):
        child.ask("a")
    child.end()


def test_patience_ends_in_a_kill() -> None:
    child = Child("echo", quiet=True)
    child.ask("a")
    child.tell("sleep")
    child.end(patience=0.1)
    assert not child.is_alive


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("busy", ["nothing", "sleep"])
def test_a_child_ends_with_its_parent(number: signal.Signals, busy: str) -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT, busy], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout
        pid = int(parent.stdout.readline())
        assert is_alive(pid)
        parent.send_signal(number)
        parent.wait()
        deadline = time.monotonic() + 10
        while is_alive(pid) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert not is_alive(pid)


def is_alive(pid: int) -> bool:
    """Whether the process runs; one that nobody has reaped yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
