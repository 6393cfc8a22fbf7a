"""Cases as files: a folder per case, named as a sentence, with what goes in and what is expected to come out.

    tests/cases/<stage>/<entity>/<case>/{<input files>, expected.json}

A test runs every folder of one place, so a case is added without writing Python; tests/cases/README.md says how.
"""

import difflib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

CASES = Path(__file__).resolve().parents[1] / "cases"
EXPECTED = "expected.json"
# The input files of a case, by the place it lies in.
INPUTS = {
    "core/instants": ("value.json",),
    "core/records": ("one.json", "other.json"),
    "core/rules": ("rules.dqdl",),
    "extract/sessions": ("record.json",),
    "transform/sessions": ("record.json",),
    "transform/users": ("record.json",),
}


@dataclass(frozen=True, slots=True)
class Case:
    """One folder."""

    folder: Path

    @property
    def name(self) -> str:
        """The folder, as the tree names it."""
        return self.folder.relative_to(CASES.parent).as_posix()

    def text(self, file: str) -> str:
        """An input file as it is."""
        return (self.folder / file).read_bytes().decode()

    def record(self, file: str = "record.json") -> bytes:
        """An input file as a line of a landing: extract writes a blank for a line feed between tokens."""
        return (self.folder / file).read_bytes().removesuffix(b"\n").replace(b"\n", b" ")

    def assert_expected(self, actual: Any) -> None:
        """`actual` is what `expected.json` says, type for type; shows what differs, line by line."""
        expected = json.loads(self.text(EXPECTED))
        if _lines(actual) != _lines(expected):
            difference = difflib.unified_diff(
                _lines(expected), _lines(actual), f"{self.name}/{EXPECTED}", "actual", lineterm=""
            )
            pytest.fail("\n".join(["the result is not the expected one:", *difference]), pytrace=False)


def cases(place: str) -> list[Any]:
    """All cases of a place, as parameters of a test."""
    found = sorted(path for path in (CASES / place).iterdir() if path.is_dir())
    assert found, f"expected a folder per case in {CASES / place}, found none"
    return [pytest.param(Case(path), id=path.name) for path in found]


def _lines(value: Any) -> list[str]:
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False).splitlines()
