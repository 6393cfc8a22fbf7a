"""A module of ours as a process that begins before it is needed, works for its parent, and ends with it.

    a request, a line of JSON  ->  python -m <module>  ->  its answer, a line of JSON

However the parent ends, by `kill -9` too, the child does not outlive it: its stdin ends, and where the kernel offers it
(Linux) the child is killed at that moment.
"""

import ctypes
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NoReturn

_PR_SET_PDEATHSIG = 1  # prctl(2)
_STDIN, _STDOUT, _STDERR = range(3)


class ChildEndedError(Exception):
    """The child is gone without an answer. `exit_code` is as in subprocess: negative for a signal."""

    def __init__(self, exit_code: int) -> None:
        super().__init__(f"exit code {exit_code}")
        self.exit_code = exit_code


class Child:
    """The parent's side. `quiet` drops what the child says on stderr; otherwise it is the parent's own."""

    def __init__(self, module: str, *, quiet: bool = False) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - a module of this package
            # Killed, it leaves semaphores to Python's tracker of them, which frees them and has no need to say so.
            [sys.executable, "-P", "-W", "ignore:resource_tracker:UserWarning", "-m", module, str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL if quiet else None,
            encoding="utf-8",
        )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether it still runs."""
        return self._process.poll() is None

    def tell(self, request: object) -> None:
        """Send a request that has no answer. A child that is gone is noticed when it is asked something."""
        sent = self._process.stdin
        assert sent is not None
        with suppress(BrokenPipeError):
            sent.write(f"{json.dumps(request)}\n")
            sent.flush()

    def ask(self, request: object) -> Any:
        """Send a request and wait for its answer; one at a time.

        Raises:
            ChildEndedError: it ended, before or meanwhile.
        """
        self.tell(request)
        received = self._process.stdout
        assert received is not None
        answer = received.readline()
        if not answer.endswith("\n"):  # nothing, or what it had written when it was killed
            raise ChildEndedError(self._process.wait())
        return json.loads(answer)

    def kill(self) -> None:
        """End it at once; whoever waits for an answer gets `ChildEndedError`."""
        self._process.kill()

    def end(self, patience: float = 0) -> None:
        """End it, at once or with so many seconds to do it in order; returns when it is gone. Nobody waits for it."""
        if patience:
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(patience)
        self._process.kill()
        with suppress(BrokenPipeError), self._process:  # what it did not read is of no use
            pass


def serve(work: Callable[[Any], object]) -> NoReturn:
    """The child's side: do each request in its turn and answer with what `work` returns; None is no answer.

    A thread reads the requests, so that the end of stdin, which is the parent's end, is seen in the middle of work.
    What a library prints goes to stderr: stdout is for answers.
    """
    _bind_to_parent()
    answers = os.fdopen(os.dup(_STDOUT), "w", encoding="utf-8")
    os.dup2(_STDERR, _STDOUT)
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()

    def read() -> None:
        # Not sys.stdin, on whose lock the interpreter insists when it ends.
        with open(_STDIN, encoding="utf-8", closefd=False) as requests:
            for line in requests:
                lines.put(line)
        os._exit(0)

    threading.Thread(target=read, daemon=True).start()
    while True:
        result = work(json.loads(lines.get()))
        if result is not None:
            answers.write(f"{json.dumps(result)}\n")
            answers.flush()


def _bind_to_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(sys.argv[1]):  # it was gone before that
        os._exit(1)
