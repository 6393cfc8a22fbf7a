"""Background processes that outlive the command which started them: start, identify, check, stop."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

LOOPBACK = "127.0.0.1"
_HTTP_TIMEOUT_SECONDS = 2.0
_POLL_SECONDS = 0.02
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
# Started through a shell that exits at once, so that init adopts the process: a long-lived command (a test run) has no
# child to reap. The shell gets the command as arguments and parses none of it.
_DETACH = '"$@" </dev/null >>"$0" 2>&1 & echo $!'


@dataclass(frozen=True, slots=True)
class Process:
    """A process, identified by pid and start: the system reuses a pid, after a reboot at the latest."""

    pid: int
    started: str

    def is_alive(self) -> bool:
        """Whether this very process still runs; a zombie does not."""
        return _started(self.pid) == self.started

    def stop(self, stop_signal: signal.Signals, timeout: float) -> None:
        """Send it `stop_signal`, and SIGKILL after `timeout` seconds. Returns when it has ended."""
        self._send(stop_signal)
        deadline = time.monotonic() + timeout
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
    """Run `command` in a session of its own, with its output appended to `log` and none of our files open."""
    log.touch(mode=0o600)
    shell = subprocess.run(
        ["/bin/sh", "-c", _DETACH, str(log), *command],
        start_new_session=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=True, text=True,
        cwd=cwd, env=environment,
    )  # fmt: skip
    pid = int(shell.stdout)
    return Process(pid, _started(pid) or "gone")


def free_port(preferred: int | None) -> int:
    """A free TCP port of the loopback interface: `preferred` if that is free."""
    for port in (preferred or 0, 0):
        with socket.socket() as probe:
            # Otherwise a port that was just closed counts as taken for a minute, and a restart would change it.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise OSError(f"no free port on {LOOPBACK}")


def answers_http(port: int, path: str) -> bool:
    """Whether an HTTP server on `port` answers 200 for `path`. By a socket: importing an HTTP client takes longer."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=_HTTP_TIMEOUT_SECONDS) as connection:
            connection.sendall(f"GET {path} HTTP/1.0\r\nHost: {LOOPBACK}\r\nConnection: close\r\n\r\n".encode())
            return connection.recv(64).split(b" ")[1:2] == [b"200"]
    except OSError:
        return False


def name_of(pid: int) -> str | None:
    """The name of the program that runs as `pid`, or None if none does."""
    import psutil

    try:
        return psutil.Process(pid).name()
    except psutil.NoSuchProcess:
        return None


def _started(pid: int) -> str | None:
    """What distinguishes the process from any other of its pid; None if it has ended."""
    import psutil

    try:
        process = psutil.Process(pid)
        # A killed process becomes a zombie first, and closes its files when its last thread has ended.
        if process.status() in {psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD} and process.num_threads() <= 1:
            return None
        created = process.create_time()
    except psutil.NoSuchProcess:
        return None
    if not psutil.LINUX:
        return f"{created:.2f}"
    # Linux counts from boot, so `created` changes when the clock is set, by hours after a virtual machine's pause.
    return f"{_BOOT_ID.read_text(encoding='ascii').strip()}:{created - psutil.boot_time():.2f}"
