"""The edge: parses arguments, reads settings, wires adapters, runs stages, reports, and maps errors to exit codes."""

import signal
import sys
from types import FrameType
from typing import NoReturn

# A person's Ctrl-C, a stop of the container, a terminal that is closed: an orderly end, so that temporary files go.
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main() -> NoReturn:
    """The command line, as a process: before anything is imported, which takes as long as a person is impatient."""
    for number in _SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup
            signal.signal(number, _end)
    from deftunes.cli.app import main as command_line

    command_line()


def _end(number: int, _: FrameType | None) -> NoReturn:
    sys.exit(128 + number)
