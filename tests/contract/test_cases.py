"""The cases in files: each is complete and lies where a test runs it."""

from pathlib import Path

import pytest

from support.cases import CASES, EXPECTED, INPUTS

FOLDERS = sorted({path.parent.relative_to(CASES).as_posix() for path in CASES.rglob("*") if path.is_file()} - {"."})


def test_cases_are_found() -> None:
    assert len(FOLDERS) > 100


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_case_is_its_input_and_what_is_expected(folder: str) -> None:
    place, _, _ = folder.rpartition("/")
    assert place in INPUTS, f"{folder} is in no place whose cases a test runs; those are {', '.join(INPUTS)}"
    assert {path.name for path in (CASES / folder).iterdir()} == {*INPUTS[place], EXPECTED}


@pytest.mark.parametrize("place", INPUTS)
def test_the_cases_of_a_place_are_run_by_its_stage(place: str) -> None:
    stage, _, _ = place.partition("/")
    assert f'cases("{place}")' in (CASES.parent / "unit" / stage / "test_cases.py").read_text("utf-8")


def test_a_case_is_named_as_a_sentence() -> None:
    names = [Path(folder).name for folder in FOLDERS]
    assert [name for name in names if not name.replace("_", "").isalnum() or name.count("_") < 2] == []
