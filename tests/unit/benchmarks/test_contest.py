import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import contest
import pytest
from contest import Result, Tool, compete, table, written


def tool(name: str, code: str) -> Tool:
    """A tool that runs this code, with the address as `source` and the folder as `out`."""
    start = "import json, sys, time; from pathlib import Path; source, out = sys.argv[1], Path(sys.argv[2]); "
    return Tool(name, lambda source, out: [sys.executable, "-c", start + code, source, str(out)])


def writes(text: str, told: float = 0.5) -> str:
    return f"(out / 'data.txt').write_text({text!r}); print(json.dumps({{'seconds': {told}}}))"


def checksum(out: Path) -> Mapping[str, object]:
    lines = (out / "data.txt").read_text().splitlines()
    return {"rows": len(lines), "letters": sorted("".join(lines))}


@contextmanager
def source() -> Iterator[str]:
    yield "there"


def run(*tools: Tool, rounds: int = 1) -> Sequence[Result]:
    return compete(tools, rounds, source, checksum)


def test_a_tool_counts_in_each_round_by_what_it_says_it_took() -> None:
    first, second = run(tool("first", writes("a\nb")), tool("second", writes("b\na", told=1.25)), rounds=2)
    assert (first.seconds, second.seconds) == ([0.5, 0.5], [1.25, 1.25])
    assert len(first.processor) == len(first.peak) == 2
    lines = table("letters", [first, second]).splitlines()
    assert ["1.00 x" in lines[3], "2.50 x" in lines[4]] == [True, True]


def test_a_tool_that_says_nothing_counts_whole() -> None:
    (result,) = run(tool("quiet", "time.sleep(0.3); (out / 'data.txt').write_text('a')"))
    assert result.median >= 0.3


@pytest.mark.parametrize(
    ("code", "failure"),
    [
        (writes("a"), "other data: 1 rows, expected 2"),
        (writes("a\nc"), "other data in letters"),
        ("sys.exit('no such table')", "failed: no such table"),
    ],
)
def test_a_tool_with_other_data_or_none_has_no_ratio(code: str, failure: str) -> None:
    results = run(tool("first", writes("a\nb")), tool("second", code), rounds=2)
    assert [result.failure for result in results] == ["", failure]
    line = table("letters", results).splitlines()[-1]
    assert failure in line
    assert " x" not in line


def test_a_tool_that_is_not_there_is_shown_as_such() -> None:
    (result,) = run(Tool("absent", lambda _source, _out: ["no-such-program"]))
    assert result.failure == "not installed: no-such-program"


def test_a_tool_that_does_not_end_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contest, "_LONGEST", 0.2)
    (result,) = run(tool("endless", "time.sleep(60)"))
    assert result.failure == "not done after 0.2 s"


def test_what_a_tool_keeps_for_itself_is_no_data(tmp_path: Path) -> None:
    for name in ("state/a.txt", "lake/_dlt_loads/b.txt", "lake/songs/c.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    assert written(tmp_path, "*.txt") == [tmp_path / "lake/songs/c.txt"]
