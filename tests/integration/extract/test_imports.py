import subprocess
import sys

import pytest

HEAVY = {"pyspark", "pydeequ", "dbt", "pyiceberg", "pandas", "polars", "fastapi"}


@pytest.mark.parametrize(
    ("module", "unwanted"),
    [
        ("deftunes.extract.users", HEAVY | {"pyarrow", "adbc_driver_manager"}),
        ("deftunes.extract.sessions", HEAVY | {"pyarrow", "adbc_driver_manager"}),
        ("deftunes.extract.songs", HEAVY | {"requests"}),
    ],
)
def test_extract_imports_only_what_its_entity_needs(module: str, unwanted: set[str]) -> None:
    script = f"import sys, {module}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    imported = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()

    assert "deftunes" in imported
    assert unwanted.isdisjoint(imported)
