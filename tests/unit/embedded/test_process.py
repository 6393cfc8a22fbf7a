import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from deftunes.embedded import process
from deftunes.embedded.process import Process


def wait_until(condition: object) -> None:
    deadline = time.monotonic() + 10
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Process]:
    running = process.start(["sleep", "60"], log=tmp_path / "log", cwd=tmp_path, environment=dict(os.environ))
    yield running
    running.stop(signal.SIGKILL, 0)


def test_a_started_process_is_no_child_of_ours_and_in_a_session_of_its_own(started: Process) -> None:
    assert started.is_alive()
    assert os.getsid(started.pid) != os.getsid(0)
    with pytest.raises(ChildProcessError):
        os.waitpid(started.pid, os.WNOHANG)


def test_a_process_of_the_same_number_and_another_start_is_a_stranger(started: Process) -> None:
    stranger = Process(started.pid, "another boot:1")
    assert not stranger.is_alive()
    stranger.stop(signal.SIGKILL, 1)
    assert started.is_alive()


def test_a_process_of_the_same_number_and_start_in_another_boot_is_a_stranger(
    started: Process, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "boot_id").write_text("e7b1\n")
    monkeypatch.setattr(process, "_BOOT_ID", tmp_path / "boot_id")
    assert not started.is_alive()


def test_a_process_stays_itself_when_the_clock_is_set(started: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    # By which psutil's create_time follows the clock.
    later = psutil.boot_time() + 3600
    monkeypatch.setattr(psutil._pslinux, "boot_time", lambda: later)
    assert psutil.Process(started.pid).create_time() > time.time() + 3000
    assert started.is_alive()


def test_a_process_that_has_ended_has_no_name(started: Process) -> None:
    assert process.name_of(started.pid) == "sleep"
    started.stop(signal.SIGKILL, 0)
    wait_until(lambda: process.name_of(started.pid) is None)


def test_a_zombie_is_not_alive() -> None:
    child = subprocess.Popen(["sleep", "60"])
    seen = Process(child.pid, process._started(child.pid) or "")
    assert seen.is_alive()
    child.kill()
    wait_until(lambda: not seen.is_alive())
    assert Path(f"/proc/{child.pid}").exists()
    child.wait()


def test_what_ignores_the_signal_to_stop_is_killed_after_a_while(tmp_path: Path) -> None:
    command = ["/bin/sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.1; done"]
    stubborn = process.start(command, log=tmp_path / "log", cwd=tmp_path, environment=dict(os.environ))
    wait_until(lambda: "ready" in (tmp_path / "log").read_text())
    stubborn.stop(signal.SIGTERM, 0.3)
    assert not stubborn.is_alive()


def test_arguments_and_the_log_s_path_are_never_read_by_a_shell(tmp_path: Path) -> None:
    folder = tmp_path / "a b; touch x `touch y` $HOME"
    folder.mkdir()
    log = folder / "out put.log"
    said = "$HOME; echo 'no' \"quotes\" *"
    echo = process.start(["printf", "%s", said], log=log, cwd=folder, environment={"PATH": os.environ["PATH"]})
    wait_until(lambda: not echo.is_alive() and log.read_text())
    assert log.read_text() == said
    assert log.stat().st_mode & 0o077 == 0
    assert [path.name for path in folder.iterdir()] == [log.name]


def test_a_port_is_kept_while_it_is_free_and_given_up_when_it_is_taken() -> None:
    port = process.free_port(None)
    assert process.free_port(port) == port
    with closing(socket.create_server(("127.0.0.1", port))):
        assert process.free_port(port) != port
    assert process.free_port(port) == port


@pytest.mark.parametrize(
    ("answer", "expected"),
    [(b"HTTP/1.1 200 OK\r\n\r\n", True), (b"HTTP/1.1 503 x\r\n\r\n", False), (b"", False), (b"SSH-2.0\r\n", False)],
)
def test_only_a_server_that_answers_200_answers(answer: bytes, expected: bool) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        assert process.answers_http(server.getsockname()[1], "/health") is expected
        thread.join()


def test_nobody_answers_on_a_closed_port() -> None:
    assert not process.answers_http(process.free_port(None), "/")
