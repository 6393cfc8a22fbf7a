"""How a command ends: any exception becomes one of our errors, in words to act on and without secrets."""

import os
import resource
import signal
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from errno import EDQUOT, EMFILE, ENFILE, ENOSPC
from pathlib import Path
from typing import NoReturn

from deftunes.core.errors import DeftunesError

_STANDARD_ERROR = 2
_PACKAGE = Path(__file__).parents[1]
_FRAMES = 4
_SIGNALLED = {128 + number for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
_STOPPED = "stopped by a signal. The same command goes on where this one stopped"


def exit_with(command: Callable[[], object]) -> NoReturn:
    """Run a command and end this process: with its exit code, one message on stderr, never with a traceback."""
    code: object = 0
    _open_closed_streams()
    try:
        _let_output_hold_any_text()
        command()
        sys.stdout.flush()
    except SystemExit as end:  # typer's: its message is on stderr already
        code = end.code
        if code in _SIGNALLED:
            sys.stderr.write(f"deftunes: {_STOPPED}\n")
    except KeyboardInterrupt:  # Spark takes the signal for itself
        code = 128 + signal.SIGINT
        sys.stderr.write(f"deftunes: {_STOPPED}\n")
    except BrokenPipeError:  # whoever reads our output has seen enough
        code = 1
    except Exception as error:  # noqa: BLE001 - what nobody foresaw ends in words as well
        explained = explain(error)
        code = explained.exit_code
        sys.stderr.write(f"deftunes: {explained}\n")
    try:
        sys.stdout.flush()
    except OSError as error:
        # The interpreter would try once more, and end with its own words and exit code 120.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not code and not isinstance(error, BrokenPipeError):
            sys.stderr.write(f"deftunes: {explain(error)}\n")
        code = code or 1
    sys.exit(code)  # type: ignore[arg-type]


def explain(error: BaseException) -> DeftunesError:
    """One of our errors as it is, without secrets; anything else in words for whoever runs the command."""
    from deftunes.core.settings import redacted

    if isinstance(error, DeftunesError):
        text = redacted(str(error))
        return error if text == str(error) else type(error)(text)
    return DeftunesError(redacted(_known(error) or _unexpected(error)))


def _known(error: BaseException) -> str | None:
    """What the machine lacks; None: something else."""
    if isinstance(error, MemoryError):
        return "no memory is left. Give this process more, or a shorter interval: deftunes backfill cuts a long one"
    if not isinstance(error, OSError) or error.strerror is None:
        return None
    if error.errno in {ENOSPC, EDQUOT}:
        where = f" for {os.fsdecode(error.filename)}" if error.filename is not None else ""
        return (
            f"the disk is full: {error.strerror}{where}. Free space, or set DEFTUNES_HOME (data) or TMPDIR (temporary "
            "files) to a folder on another disk, then run the command again"
        )
    if error.errno in {EMFILE, ENFILE}:
        allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        return (
            f"{error.strerror.lower()}: this process may have {allowed} open at once. Raise the limit, for example by "
            "`ulimit -n 4096`, then run the command again"
        )
    if error.filename is not None:
        path = os.fsdecode(error.filename)
        return f"expected to use {path}, got: {error.strerror}. Check that it is there, and its rights"
    return None


def _unexpected(error: BaseException) -> str:
    """Kind and place, newest first. Not its message, which may quote a record."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if Path(frame.filename).is_relative_to(_PACKAGE)]
    shown = [frame for frame in frames[-1:] if frame not in ours] + ours[: -_FRAMES - 1 : -1]
    places = " < ".join(f"{_short(frame.filename)}:{frame.lineno}" for frame in shown)
    log = _keep(error)
    return (
        f"unexpected {type(error).__name__} at {places or 'an unknown place'}. This is a fault of deftunes itself: "
        f"report this line{f' and what was added to {log}' if log else ''}"
    )


def _keep(error: BaseException) -> Path | None:
    """Add the traceback to a log that only this user can read, where there is a place for logs."""
    from deftunes.core.settings import read_settings, redacted

    text = redacted("".join(traceback.format_exception(error)))
    with suppress(OSError, RuntimeError, DeftunesError):
        log = read_settings().home.expanduser().absolute() / "log" / "unexpected.log"
        with os.fdopen(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "a", encoding="utf-8") as file:
            file.write(text)
        return log
    return None


def _short(filename: str) -> str:
    return "/".join(Path(filename).parts[-2:])


def _open_closed_streams() -> None:
    """A stream that the caller closed is one that nobody reads; without one a socket would get its number."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115 - for as long as this process lives
    while (number := os.open(os.devnull, os.O_RDWR)) <= _STANDARD_ERROR:
        pass
    os.close(number)


def _let_output_hold_any_text() -> None:
    """No character ends a command: where nobody looks, UTF-8; a terminal shows what it cannot as an escape."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # not so where a library captures it
            stream.reconfigure(encoding=None if stream.isatty() else "utf-8", errors="backslashreplace")
