"""A lake in memory, for tests of what is decided before anything reaches S3; what landings hold, in any lake."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

from deftunes.adapters.lake import JsonObject, Lake
from deftunes.state.landings import Receipt


class MemoryLake(Lake):
    """Objects in a dictionary, listed in order as S3 does."""

    def __init__(self) -> None:
        self.bucket, self.prefix = "memory", ""
        self.objects: dict[str, bytes] = {}

    def put(self, key: str, body: bytes) -> None:
        """Store an object."""
        self.objects[key] = body

    def upload(self, key: str, path: Path) -> None:
        """Store a file as an object."""
        self.objects[key] = path.read_bytes()

    def get(self, key: str) -> bytes | None:
        """An object, or None."""
        return self.objects.get(key)

    def get_json(self, key: str) -> JsonObject | None:
        """The JSON of an object, or None."""
        body = self.get(key)
        return None if body is None else json.loads(body)

    def keys(self, prefix: str, *, after: str | None = None) -> Iterator[str]:
        """Keys under a prefix, in order."""
        for key in sorted(self.objects):
            if key.startswith(prefix) and key > (after or ""):
                yield key


def landed_records(lake: Lake, receipt: Receipt) -> list[bytes]:
    """The records of a landing of JSON lines, as they are stored."""
    lines: list[bytes] = []
    for part in receipt.parts:
        body = lake.get(part.key)
        assert body
        lines += gzip.decompress(body).splitlines()
    return lines
