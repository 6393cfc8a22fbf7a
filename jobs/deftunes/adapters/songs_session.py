"""A session on the catalogue's PostgreSQL through ADBC: statements, rows, batches; errors as ours.

ADBC is used below its DB-API layer, which would import pandas or polars where they are installed.
"""

import contextlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import adbc_driver_manager
import adbc_driver_postgresql
import pyarrow as pa
from adbc_driver_manager._reader import AdbcRecordBatchReader

from deftunes.adapters.postgres_errors import cause_of, is_transient
from deftunes.core.errors import DeftunesError, RetriableError

TABLE = "deftunes.songs"
# As libpq takes one apart (conninfo_uri_parse_options): a password may hold a question mark.
_URI = re.compile(r"(?P<address>postgres(?:ql)?://(?:[^@/]*@)?[^?]*)(?:\?(?P<options>.*))?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Session:
    """One connection. `execute`, `rows` and `batches` raise what `translate_errors` makes of the driver's errors."""

    _connection: adbc_driver_manager.AdbcConnection

    def execute(self, sql: str) -> None:
        """Run a statement that answers nothing."""
        with translate_errors(), adbc_driver_manager.AdbcStatement(self._connection) as statement:
            statement.set_sql_query(sql)
            statement.execute_update()

    def row(self, sql: str) -> dict[str, Any]:
        """The one row of an answer."""
        (row,) = self.rows(sql)
        return row

    def rows(self, sql: str) -> list[dict[str, Any]]:
        """The rows of an answer."""
        with self.batches(sql) as reader:
            rows: list[dict[str, Any]] = reader.read_all().to_pylist()
        return rows

    @contextlib.contextmanager
    def batches(self, sql: str) -> Iterator[pa.RecordBatchReader]:
        """An answer as it comes."""
        with translate_errors(), adbc_driver_manager.AdbcStatement(self._connection) as statement:
            statement.set_sql_query(sql)
            handle, _ = statement.execute_query()
            # This reader, unlike Arrow's own, keeps the SQLSTATE of an error in mid-answer.
            reader = AdbcRecordBatchReader._import_from_c(handle.address)
            with contextlib.closing(reader):
                yield reader

    @contextlib.contextmanager
    def savepoint(self) -> Iterator[None]:
        """Go on with the transaction after a statement that the server refuses."""
        self.execute("savepoint attempt")
        try:
            yield
        except RefusedByServerError:
            self.execute("rollback to savepoint attempt")
            raise


@contextlib.contextmanager
def connect(dsn: str) -> Iterator[Session]:
    """A session with the client's encoding set, whatever the environment, the server or the role say of it."""
    with contextlib.ExitStack() as opened:
        with translate_errors():
            database = opened.enter_context(adbc_driver_postgresql.connect(_in_utf8(dsn)))
            connection = opened.enter_context(adbc_driver_manager.AdbcConnection(database))
        yield Session(connection)


def _in_utf8(dsn: str) -> str:
    """The same libpq string; of an option that is there twice, the last one counts."""
    if uri := _URI.fullmatch(dsn):
        options = [option for option in (uri["options"] or "").split("&") if option]
        return f"{uri['address']}?{'&'.join([*options, 'client_encoding=UTF8'])}"
    return f"{dsn} client_encoding=UTF8"


class RefusedByServerError(DeftunesError):
    """PostgreSQL said no, with a SQLSTATE."""

    def __init__(self, message: str, sqlstate: str) -> None:
        super().__init__(message)
        self.sqlstate = sqlstate


@contextlib.contextmanager
def translate_errors() -> Iterator[None]:
    """Turn the driver's errors into ours. Its messages may hold a piece of the DSN: `cause_of` leaves these out."""
    try:
        yield
    except (adbc_driver_manager.Error, pa.ArrowException, OSError) as error:
        raise _translate_error(error) from error


def _translate_error(error: Exception) -> DeftunesError:
    if isinstance(error, OSError) and error.errno is not None:
        return DeftunesError(f"{TABLE}: expected room for a Parquet file, got: {os.strerror(error.errno)}")
    state = getattr(error, "sqlstate", None)
    cause = cause_of(state, str(error))
    if is_transient(state, str(error)):
        return RetriableError(
            f"expected PostgreSQL to answer at DEFTUNES_SONGS_DSN, got: {cause}. "
            "Nothing was changed; run the command again"
        )
    if state is None:
        return DeftunesError(
            f"expected PostgreSQL to let us in, got: {cause}. Nothing was changed; check DEFTUNES_SONGS_DSN"
        )
    return RefusedByServerError(
        f"{TABLE}: expected PostgreSQL to read it, got: {cause}. "
        "Nothing was changed; check the rights and limits of DEFTUNES_SONGS_DSN's user",
        state,
    )
