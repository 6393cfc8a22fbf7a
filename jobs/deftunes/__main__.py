"""`python -m deftunes` is the command line, and the process of a container."""

import signal
import sys
from types import FrameType
from typing import NoReturn


def _end(number: int, _: FrameType | None) -> NoReturn:
    sys.exit(128 + number)


# The first process of a container ends by no signal that it does not handle, so this comes before the imports do.
signal.signal(signal.SIGTERM, _end)

from deftunes.cli import main  # noqa: E402

main()
