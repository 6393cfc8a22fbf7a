"""Records of the API on their way to a landing: whether they are what was asked for, and the file they are kept in."""

import zlib
from collections.abc import Collection, Iterable
from pathlib import Path

import msgspec

from deftunes.adapters.jsonarray import without_surrogates
from deftunes.core.entities import Entity
from deftunes.core.errors import DeftunesError
from deftunes.core.records import content_digest
from deftunes.state.landings import digest_of

PART = "part-00000.jsonl.gz"

_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_BUFFER = 1 << 18
# Measured on sessions: level 6 makes files a fifth smaller than level 1 and takes twice as long.
_GZIP_LEVEL = 1
_GZIP = zlib.MAX_WBITS | 16


class Recognition:
    """Whether any record of an answer has a field that tells its entity from others."""

    def __init__(self, entity: Entity, fields: Collection[str]) -> None:
        self._entity = entity
        self._fields = fields
        self._recognised = False

    def look(self, records: Iterable[bytes]) -> None:
        """Look at more records; the first one that is recognised settles it."""
        self._recognised = self._recognised or any(_has_any(record, self._fields) for record in records)

    def refuse_strangers(self, rows: int, requested: str) -> None:
        """Refuse an answer of which no record was recognised.

        Raises:
            DeftunesError: the API sent something else, say users where sessions were asked for.

        """
        if rows and not self._recognised:
            raise DeftunesError(
                f"{requested}: expected {self._entity} with {', '.join(self._fields)}, got {rows} records that have "
                "none of these fields. Nothing was changed; check DEFTUNES_API_URL and ask the API's owner"
            )


def _has_any(record: bytes, fields: Collection[str]) -> bool:
    try:
        return not _FIELDS.decode(without_surrogates(record)).keys().isdisjoint(fields)
    except msgspec.DecodeError:
        return False


class RecordFile:
    """Gzip JSON Lines: each record as sent, one a line. Equal records in equal order make equal bytes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("wb")
        # zlib writes a header without a time, so the bytes do not depend on when they were made.
        self._gzip = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, _GZIP)
        self._lines: list[bytes] = []
        self._waiting = 0
        self._digests: list[bytes] = []
        self.rows = 0

    def add(self, record: bytes) -> None:
        """Append one record."""
        self._lines.append(record)
        self._waiting += len(record)
        self.rows += 1
        if self._waiting >= _BUFFER:
            self._flush()

    def close(self) -> None:
        """Close the file as it is; after `finish` there is nothing left to close."""
        self._file.close()

    def finish(self) -> str:
        """Complete the file; returns the digest of its records, whatever their order."""
        self._flush()
        self._file.write(self._gzip.flush())
        self._file.close()
        digest = digest_of(self._digests)
        self._digests.clear()
        return digest

    def _flush(self) -> None:
        if self._lines:
            self._digests += [content_digest(record) for record in self._lines]
            self._lines.append(b"")
            self._file.write(self._gzip.compress(b"\n".join(self._lines)))
            self._lines.clear()
            self._waiting = 0

    def files(self) -> tuple[tuple[Path, int], ...]:
        """As `Draft.files` wants it: no rows need no object."""
        return ((self._path, self.rows),) if self.rows else ()
