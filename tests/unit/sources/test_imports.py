"""The sources are development tools: the pipeline must run without them, and they without the pipeline."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


def imported(module: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or "").partition(".")[0])
    return names


@pytest.mark.parametrize(
    ("folder", "others"),
    [
        ("jobs/deftunes", {"purchase_api", "song_catalog"}),
        ("sources/purchase_api", {"deftunes", "song_catalog"}),
        ("sources/song_catalog", {"deftunes", "purchase_api"}),
    ],
)
def test_no_package_imports_another(folder: str, others: set[str]) -> None:
    modules = list((ROOT / folder).rglob("*.py"))
    assert modules
    assert not {module.name: found for module in modules if (found := imported(module) & others)}
