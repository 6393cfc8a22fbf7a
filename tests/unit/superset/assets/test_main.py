"""What the command line says of a folder before Superset is started: `python -m assets`, without Superset."""

import subprocess
import sys
from pathlib import Path

from deftunes.core.settings import REPOSITORY
from support.bundle import make_bundle, texts_of


def assets(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "assets", *arguments],
        cwd=REPOSITORY / "superset", capture_output=True, text=True, check=False,
    )  # fmt: skip


def write(folder: Path, texts: dict[str, str]) -> None:
    for name, text in texts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, "utf-8")


def test_a_bad_bundle_ends_with_1_and_a_line_per_fault(tmp_path: Path) -> None:
    documents = make_bundle()
    documents["charts/sales.yaml"]["viz_type"] = "pi"
    write(tmp_path, {**texts_of(documents), "datasets/torn.yaml": "a: [1\nb: 2"})
    (tmp_path / "charts" / "latin.yaml").write_bytes(b"\xe4: 1")

    ended = assets("import", str(tmp_path))

    assert ended.returncode == 1
    lines = ended.stderr.splitlines()
    assert len(lines) == 3
    assert all(line.startswith("error: ") for line in lines)
    assert [line.split(": ")[1] for line in lines] == ["charts/latin.yaml", "datasets/torn.yaml", "charts/sales.yaml"]


def test_a_folder_without_files_is_bad_usage(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "none"):
        ended = assets("import", str(folder))
        assert ended.returncode == 2
        assert "expected a folder with .yaml files" in ended.stderr
    assert assets("publish", str(tmp_path)).returncode == 2
