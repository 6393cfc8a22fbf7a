"""The board as a file, complete or not there: a reader never opens half a page."""

import contextlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from deftunes.core.errors import BadUsageError, DeftunesError

if TYPE_CHECKING:
    from deftunes.adapters.svg import Pen
    from deftunes.resources import Resources


@dataclass(frozen=True, slots=True)
class Written:
    """The file, its bytes, and the currencies in it, the one that is shown first ahead."""

    path: Path
    size: int
    currencies: tuple[str, ...]


def write_board(resources: "Resources", pen: "Pen", out: Path | None = None, currency: str | None = None) -> Written:
    """Write the board as of now; see `deftunes.board.page`.

    Raises:
        BadUsageError: there is no such folder, or nothing was sold in this currency.
        DeftunesError: the file cannot be written, a chart cannot be drawn, or the warehouse has no such views; an older
            file stays as it is.
    """
    from deftunes.board.definition import read_board
    from deftunes.board.page import build_page

    path = (out or resources.settings.home / "board.html").resolve()
    if path.is_dir() or not path.parent.is_dir():
        raise BadUsageError(f"expected --out to be a file in a folder that exists, got {path}")
    page = build_page(resources.warehouse, read_board(resources.settings.dashboards), pen, currency)
    content = page.html.encode("utf-8", "replace")
    try:
        _write(path, content)
    except OSError as error:
        raise DeftunesError(f"expected to write {path}, got: {error.strerror}. An older file is as it was") from error
    return Written(path, len(content), page.currencies)


def _write(path: Path, content: bytes) -> None:
    if path.exists() and not path.is_file():  # a device or a pipe is written to, not replaced
        path.write_bytes(content)
        return
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        umask = os.umask(0)
        os.umask(umask)
        Path(name).chmod(0o666 & ~umask)  # as any file that a person writes
        Path(name).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise
