"""Reading the project's Markdown: code blocks, commands, links, tables."""

import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from deftunes.core.settings import REPOSITORY

SHOWN_OF_LINES = 200  # of the README; more is for docs/
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`([^`\n]+)`")
_PICTURE = re.compile(r"!\[([^\]]*)\]\(([^)\s]+)\)")
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_COMMAND = re.compile(r"^(?:\w+=\S+ )*((?:deftunes|make)(?: .*)?)$")
# A pipe of two commands, or what follows one: only the command itself is ours to check.
_END = re.compile(r"\s(?:\||&&|;|>)\s")


@cache
def tracked() -> tuple[str, ...]:
    """The paths of the repository's files, also of those that are not committed yet."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=REPOSITORY, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return tuple(path for path in sorted(listed.stdout.splitlines()) if (REPOSITORY / path).is_file())


def documents() -> list[Path]:
    """The README, the change log and everything in docs."""
    found = [path for path in tracked() if path.endswith(".md") and ("/" not in path or path.startswith("docs/"))]
    return [REPOSITORY / path for path in found]


def code_blocks(document: Path, language: str) -> Iterator[str]:
    """The texts of the code blocks in one language."""
    for found, text in _BLOCK.findall(document.read_text(encoding="utf-8")):
        if found == language:
            yield text


def commands_in(document: Path) -> Iterator[tuple[str, bool]]:
    """Every `deftunes` and `make` command without the settings before it, and whether it is shown to be typed."""
    shown = [line.strip() for block in code_blocks(document, "bash") for line in block.splitlines()]
    for line, is_complete in [*((line, True) for line in shown), *((code, False) for code in _codes(document))]:
        match = _COMMAND.match(_END.split(line)[0])
        if match:
            yield match[1], is_complete


def inline_code(document: Path, first: str | None = None) -> Iterator[list[str]]:
    """The words of each text in backticks; `first`: only of those that begin with it, without it."""
    for code in _codes(document):
        words = code.split()
        if first is None:
            yield words
        elif words[:1] == [first]:
            yield words[1:]


def links(document: Path) -> Iterator[str]:
    """Where links lead, those to other sites left out."""
    for target in _LINK.findall(_prose(document)):
        if "://" not in target:
            yield target


def pictures(document: Path) -> Iterator[tuple[str, str]]:
    """The words in a picture's place, and where it is."""
    yield from _PICTURE.findall(_prose(document))


def headings(document: Path) -> set[str]:
    """The anchors of the headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", _prose(document), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


def table_after(document: Path, head: str) -> list[list[str]]:
    """The cells of the table whose header begins with `head`."""
    lines = document.read_text(encoding="utf-8").splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(head))
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def _codes(document: Path) -> list[str]:
    text = _prose(document) if document.suffix == ".md" else document.read_text(encoding="utf-8")
    return _CODE.findall(text)


def _prose(document: Path) -> str:
    return _BLOCK.sub("", document.read_text(encoding="utf-8"))
