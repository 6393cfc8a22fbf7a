"""`make pictures` on the platform: each page is finished when it is taken, and its file is small."""

import struct
import subprocess
import sys
from pathlib import Path

from pictures.take import LARGEST, PICTURES
from support.containers import ROOT, Airflow, Platform


def test_the_pictures_are_taken(platform: Platform, airflow: Airflow, tmp_path: Path) -> None:
    before = platform.container("superset").id
    ended = subprocess.run(
        [sys.executable, str(ROOT / "docs" / "pictures" / "take.py"), str(tmp_path)],
        env=platform.environment, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert ended.returncode == 0, ended.stderr[-3000:]
    assert {path.name for path in tmp_path.iterdir()} == {picture.name for picture in PICTURES}
    for path in tmp_path.iterdir():
        content = path.read_bytes()
        assert content.startswith(b"\x89PNG\r\n")
        width, height = struct.unpack(">II", content[16:24])
        assert width == 1440
        assert height >= 600
        # An empty page of that size has a few thousand bytes.
        assert 20_000 < len(content) <= LARGEST
    # A platform that is up stays as it is.
    assert platform.container("superset").id == before
