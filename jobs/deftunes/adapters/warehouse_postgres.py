"""PostgreSQL as the warehouse, by psycopg2."""

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from typing import TYPE_CHECKING, ClassVar

import psycopg2
from psycopg2 import errors

from deftunes.adapters.warehouse import Dialect, QueryResult, Row, WarehouseConnection
from deftunes.core.errors import BadUsageError, DeftunesError, RetriableError

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection  # noqa: N812 - a class in all but its spelling

# Any fixed number will do, as long as every release keeps it: "deftunes" as eight bytes.
_LOCK = int.from_bytes(b"deftunes", "big")
_COPY_BYTES = 1 << 20
# A held connection is silent while dbt works; without probes a firewall forgets it and the lock goes with it.
_KEEPALIVE = {"keepalives": 1, "keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3}
# What dbt's profile cannot carry, libpq reads from the environment.
_LIBPQ_VARIABLES = {
    "sslmode": "PGSSLMODE",
    "sslrootcert": "PGSSLROOTCERT",
    "sslcert": "PGSSLCERT",
    "sslkey": "PGSSLKEY",
    "options": "PGOPTIONS",
    "gssencmode": "PGGSSENCMODE",
    "channel_binding": "PGCHANNELBINDING",
    "target_session_attrs": "PGTARGETSESSIONATTRS",
}
# In this class of errors alone the message itself quotes a value: invalid input syntax for type numeric: "...".
_DATA_EXCEPTION = "22"
_QUOTED = re.compile('".*"', re.DOTALL)
# libpq tells a refused login from an absent server in words only.
_REFUSED = ("authentication failed", "does not exist", "no pg_hba.conf entry", "no password supplied")


# The driver's protocol takes any number of statements in one text, `commit` among them: a read-only transaction alone
# stops no writer. So the text reaches the server as a value, and the server opens a cursor for it: for one statement,
# one that returns rows (SELECT, TABLE, VALUES, SHOW, EXPLAIN), and inside the transaction that cannot write. The
# planner is told that all rows are wanted, or it would plan for the first tenth of a cursor's.
_ASK = (
    "select set_config('deftunes.question', %s, true), set_config('cursor_tuple_fraction', '1', true)",
    "do $$ declare answer refcursor := 'answer'; "
    "begin open answer for execute current_setting('deftunes.question'); end $$",
    "fetch all from answer",
)


class PostgresWarehouse:
    """See `deftunes.adapters.warehouse.Warehouse`."""

    dialect: ClassVar[Dialect] = Dialect.POSTGRES

    def __init__(self, dsn: str, lock_timeout: float) -> None:
        self._dsn = dsn
        self._lock_timeout = lock_timeout

    def query(self, sql: str) -> QueryResult:
        """Ask one question; see the protocol."""
        with closing(self._connect()) as connection, _translate_errors("the query"):
            connection.set_session(readonly=True)
            question, opened, answer = _ASK
            with connection.cursor() as cursor:
                cursor.execute(question, (sql,))
                try:
                    cursor.execute(opened)
                except errors.InvalidCursorDefinition as error:
                    raise DeftunesError(
                        "expected one statement that returns rows, got another text: "
                        f"{error.diag.message_primary}. A query cannot write; run several one by one"
                    ) from error
                cursor.execute(answer)
                return QueryResult(tuple(column.name for column in cursor.description or ()), cursor.fetchall())

    @contextmanager
    def hold(self, *, exclusive: bool) -> Iterator[WarehouseConnection]:
        """Wait for the lock and hold it; see the protocol."""
        with closing(self._connect()) as connection:
            connection.autocommit = True
            self._lock(connection, exclusive=exclusive)
            yield _PostgresConnection(connection)

    def dbt_environment(self) -> dict[str, str]:
        """What dbt and its driver read; see the protocol."""
        # The server knows what the string, PG* variables, a service file and a password file come to in the end.
        with closing(self._connect()) as connection:
            info = connection.info
            resolved = info.dsn_parameters
            return {
                "DEFTUNES_WAREHOUSE_HOST": info.host,
                "DEFTUNES_WAREHOUSE_PORT": str(info.port),
                "DEFTUNES_WAREHOUSE_DATABASE": info.dbname,
                "DEFTUNES_WAREHOUSE_USER": info.user,
                "DBT_ENV_SECRET_WAREHOUSE_PASSWORD": info.password or "",
                **{name: resolved[key] for key, name in _LIBPQ_VARIABLES.items() if resolved.get(key)},
            }

    def _connect(self) -> "Connection":
        try:
            return psycopg2.connect(self._dsn, **_KEEPALIVE)  # type: ignore[call-overload, no-any-return]
        except psycopg2.OperationalError as error:
            reason = str(error).strip()
            if any(words in reason for words in _REFUSED):
                raise DeftunesError(
                    f"the warehouse refused the login: {reason}. Check DEFTUNES_WAREHOUSE_DSN"
                ) from None
            raise RetriableError(
                f"expected the warehouse to answer, got: {reason}. `deftunes doctor` says what is up; "
                "then run the command again"
            ) from None
        except psycopg2.ProgrammingError:
            # The driver repeats the string, and the string holds a password.
            raise BadUsageError(
                "expected DEFTUNES_WAREHOUSE_DSN to be a libpq string or URI, got another text"
            ) from None

    def _lock(self, connection: "Connection", *, exclusive: bool) -> None:
        function = "pg_advisory_lock" if exclusive else "pg_advisory_lock_shared"
        with _translate_errors("the warehouse lock"), connection.cursor() as cursor:
            cursor.execute(
                "select set_config('lock_timeout', %s, false)", (f"{max(1, int(self._lock_timeout * 1000))}",)
            )
            try:
                cursor.execute(f"select {function}(%s)", (_LOCK,))
            except errors.LockNotAvailable:
                raise RetriableError(
                    f"expected the warehouse lock within {self._lock_timeout:g} s, got none: another `load` or `model` "
                    "holds it. Run the command again when that has ended"
                ) from None
            cursor.execute("reset lock_timeout")


class _PostgresConnection:
    dialect: ClassVar[Dialect] = Dialect.POSTGRES

    def __init__(self, connection: "Connection") -> None:
        self._connection = connection

    def transaction(self) -> AbstractContextManager[None]:
        return self._transaction()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        # The lock lives on this very connection: while statements run here, it is held.
        with _translate_errors("the transaction"):
            self._connection.autocommit = False
            try:
                yield
                self._connection.commit()
            finally:
                if not self._connection.closed:
                    self._connection.rollback()
                    self._connection.autocommit = True

    def run(self, sql: str, parameters: Sequence[object] = ()) -> list[Row]:
        with self._connection.cursor() as cursor:
            cursor.execute(sql, tuple(parameters) or None)
            return [] if cursor.description is None else cursor.fetchall()

    def copy(self, sql: str, stream: io.RawIOBase) -> None:
        with self._connection.cursor() as cursor:
            cursor.copy_expert(sql, stream, _COPY_BYTES)


@contextmanager
def _translate_errors(what: str) -> Iterator[None]:
    """Turn the driver's errors into ours: refused for good, or worth another try."""
    try:
        yield
    except (errors.SerializationFailure, errors.DeadlockDetected, errors.LockNotAvailable) as error:
        raise RetriableError(f"the warehouse gave {what} up: {describe_error(error)}. Run the command again") from error
    except (psycopg2.OperationalError, psycopg2.InterfaceError) as error:
        raise RetriableError(
            f"the warehouse broke off {what}: {describe_error(error)}. Nothing of it was kept; run the command again"
        ) from error
    except psycopg2.Error as error:
        raise DeftunesError(f"the warehouse refused {what}: {describe_error(error)}") from error


def describe_error(error: psycopg2.Error) -> str:
    """What happened and where, without the rows: DETAIL and CONTEXT quote them, and a row may be a person."""
    diag = error.diag
    if diag.message_primary is None:  # the driver's own words: no server answered
        return str(error).strip()
    message = diag.message_primary
    if (diag.sqlstate or "").startswith(_DATA_EXCEPTION):
        message = _QUOTED.sub('"..."', message)
    names = {"table": diag.table_name, "column": diag.column_name, "constraint": diag.constraint_name}
    where = ", ".join(f"{kind} {name}" for kind, name in names.items() if name)
    return f"{message} ({where})" if where else message
