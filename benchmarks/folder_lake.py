"""A lake in a folder, so that a benchmark of extract does not measure an S3."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

from deftunes.adapters.lake import JsonObject, Lake


class FolderLake(Lake):
    """Objects as files."""

    def __init__(self, folder: Path) -> None:
        self.bucket, self.prefix = "folder", ""
        self._folder = folder

    def put(self, key: str, body: bytes) -> None:
        """Write an object."""
        path = self._folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)

    def upload(self, key: str, path: Path) -> None:
        """Write a file."""
        there = self._folder / key
        there.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, there)

    def get(self, key: str) -> bytes | None:
        """An object, or None."""
        path = self._folder / key
        return path.read_bytes() if path.is_file() else None

    def get_json(self, key: str) -> JsonObject | None:
        """An object of JSON, or None."""
        body = self.get(key)
        return None if body is None else json.loads(body)

    def keys(self, prefix: str, *, after: str | None = None) -> Iterator[str]:
        """Keys below `prefix`, in order."""
        for key in sorted(str(path.relative_to(self._folder)) for path in self._folder.rglob("*") if path.is_file()):
            if key.startswith(prefix) and key > (after or ""):
                yield key
