"""Records of the API on their way to a landing: the check that they are what was asked for, and the file they go to."""

import gzip
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

import msgspec
from isal import isal_zlib

from deftunes.adapters.http import ApiResponse
from deftunes.adapters.jsonarray import without_surrogates
from deftunes.core.entities import Entity
from deftunes.core.errors import DeftunesError
from deftunes.core.records import UNREADABLE, content_digest
from deftunes.state.landings import digest_of

PART = "part-00000.jsonl.gz"

_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_BUFFER = 1 << 18
_GZIP_LEVEL = 1
_GZIP = isal_zlib.MAX_WBITS | 16


class RecordProbe:
    """Whether any record of a response has a field that tells its entity from others."""

    def __init__(self, entity: Entity, fields: Collection[str]) -> None:
        self._entity = entity
        self._fields = fields
        self._recognized = False

    @property
    def recognized(self) -> bool:
        """Whether any record was."""
        return self._recognized

    def observe(self, records: Iterable[bytes]) -> None:
        """Look at more records, until one is recognized."""
        self._recognized = self._recognized or any(_has_any(record, self._fields) for record in records)

    def reject_unrecognized(self, response: ApiResponse) -> None:
        """Reject a response of which no record was recognized.

        Raises:
            DeftunesError: the API sent something else, say users where sessions were asked for.

        """
        if response.rows and not self._recognized:
            raise DeftunesError(
                f"{response.requests[0]}: expected {self._entity} with {', '.join(self._fields)}, got {response.rows} "
                "records that have none of these fields. Nothing was changed; check DEFTUNES_API_URL and ask the API's "
                "owner"
            )


def _has_any(record: bytes, fields: Collection[str]) -> bool:
    try:
        return not _FIELDS.decode(without_surrogates(record)).keys().isdisjoint(fields)
    except UNREADABLE:
        return False


class RecordFile:
    """Gzip JSON Lines: each record as sent, one a line. Equal records in equal order make equal bytes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("wb")
        # Its header is without a time, so the bytes do not depend on when they were made.
        self._gzip = isal_zlib.compressobj(_GZIP_LEVEL, isal_zlib.DEFLATED, _GZIP)
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

    def records(self) -> Iterator[bytes]:
        """The records of a file that is complete, read again."""
        with gzip.open(self._path, "rb") as lines:
            for line in lines:
                yield line[:-1]

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
