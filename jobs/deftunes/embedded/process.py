"""Child processes that outlive the command that started them: started, recognised, asked, ended."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

LOOPBACK = "127.0.0.1"
_ASK_SECONDS = 2.0
_POLL_SECONDS = 0.02
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
# A shell in between, so that the child belongs to init from the start: ours ends at once, and a command that lives on
# (a test run) has no child to reap. Arguments, not text, are what it runs.
_DETACH = '"$@" </dev/null >>"$0" 2>&1 & echo $!'


@dataclass(frozen=True, slots=True)
class Process:
    """A process by pid and start: a pid alone names another process after a reboot, or after enough of them."""

    pid: int
    started: str

    def is_alive(self) -> bool:
        """Whether this very process still runs (a zombie does not)."""
        return _started(self.pid) == self.started

    def end(self, stop: signal.Signals, patience: float) -> None:
        """Ask it to stop, and kill it when `patience` (seconds) is over. Returns when it is gone."""
        self._send(stop)
        deadline = time.monotonic() + patience
        while self.is_alive():
            if time.monotonic() > deadline:
                self._send(signal.SIGKILL)
            time.sleep(_POLL_SECONDS)

    def _send(self, number: signal.Signals) -> None:
        if self.is_alive():
            try:
                os.kill(self.pid, number)
            except ProcessLookupError:
                return


def start(command: Sequence[str], *, log: Path, cwd: Path, environment: Mapping[str, str]) -> Process:
    """Run `command` in a session of its own, its output appended to `log`, holding none of our files."""
    log.touch(mode=0o600)
    shell = subprocess.run(
        ["/bin/sh", "-c", _DETACH, str(log), *command],
        start_new_session=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=True, text=True,
        cwd=cwd, env=environment,
    )  # fmt: skip
    pid = int(shell.stdout)
    return Process(pid, _started(pid) or "gone")


def free_port(preferred: int | None) -> int:
    """A TCP port of the loopback interface that nothing listens on: `preferred` if it is one."""
    for port in (preferred or 0, 0):
        with socket.socket() as probe:
            # Without it a port of our own that was just closed counts as taken for a minute, and would wander.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise OSError(f"no free port on {LOOPBACK}")


def answers_http(port: int, path: str) -> bool:
    """Whether an HTTP server on `port` answers 200 for `path`. By hand: an HTTP client costs more than the question."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=_ASK_SECONDS) as connection:
            connection.sendall(f"GET {path} HTTP/1.0\r\nHost: {LOOPBACK}\r\nConnection: close\r\n\r\n".encode())
            return connection.recv(64).split(b" ")[1:2] == [b"200"]
    except OSError:
        return False


def name_of(pid: int) -> str | None:
    """The name of the program that runs as `pid`, or None if there is none."""
    import psutil

    try:
        return psutil.Process(pid).name()
    except psutil.NoSuchProcess:
        return None


def _started(pid: int) -> str | None:
    """What no other process of this number has; None where it has ended."""
    import psutil

    try:
        process = psutil.Process(pid)
        # A killed process is a zombie first, and closes its files when its last thread has ended.
        if process.status() in {psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD} and process.num_threads() <= 1:
            return None
        created = process.create_time()
    except psutil.NoSuchProcess:
        return None
    if not psutil.LINUX:
        return f"{created:.2f}"
    # Linux counts from boot, so `created` moves when the clock is set: after a virtual machine's pause, by hours.
    return f"{_BOOT_ID.read_text(encoding='ascii').strip()}:{created - psutil.boot_time():.2f}"
