"""`python -m deftunes` is the command line, and the process of a container."""

import signal
import sys
from types import FrameType
from typing import NoReturn

from deftunes.cli import main


def _end(number: int, _: FrameType | None) -> NoReturn:
    # The first process of a container ends by no signal that it does not handle.
    sys.exit(128 + number)


signal.signal(signal.SIGTERM, _end)
main()
