"""`deftunes` run in this process, as its entry point does: exit code, stdout, stderr."""

import io
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from unittest import mock

from deftunes.cli.app import main

EXIT_CODES = {0, 1, 2, 3, 75}


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: object
    stdout: str
    stderr: str

    @property
    def said(self) -> str:
        """All that a person may see."""
        return self.stdout + self.stderr


def run(words: Sequence[str], environment: Mapping[str, str], *, entry: Callable[[], object] = main) -> Ended:
    """Run a command with nothing in its environment but this, and what finds programs."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "PYTHONPATH") if name in os.environ}
    out, err = io.StringIO(), io.StringIO()
    code: object = None
    with (
        mock.patch.dict(os.environ, {**kept, **environment}, clear=True),
        mock.patch.object(sys, "argv", ["deftunes", *words]),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        try:
            entry()
        except SystemExit as end:
            code = end.code
    return Ended(code or 0, out.getvalue(), err.getvalue())
