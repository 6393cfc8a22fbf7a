"""Redshift as the warehouse, by redshift-connector."""

import io
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import parse_qsl, unquote, urlsplit

import redshift_connector
from redshift_connector.error import Error, InterfaceError, OperationalError

from deftunes.adapters.warehouse import Ask, Dialect, QueryResult, Row, WarehouseConnection
from deftunes.core import layout
from deftunes.core.errors import BadUsageError, DeftunesError, RetriableError

if TYPE_CHECKING:
    from redshift_connector.core import Connection

_PORT = 5439
_LOCK_TABLE = f"{layout.CONTROL_SCHEMA}.lock"
_CANCELLED = "57014"  # query_canceled: the statement timeout


class RedshiftWarehouse:
    """See `deftunes.adapters.warehouse.Warehouse`.

    Redshift has no advisory locks: the lock is a table, locked in a transaction that stays open on a connection of
    its own. It has no shared mode either, so a `load` waits for another one; there it copies nothing and is brief.
    """

    dialect: ClassVar[Dialect] = Dialect.REDSHIFT

    def __init__(self, dsn: str, lock_timeout: float) -> None:
        parts = urlsplit(dsn)
        options = dict(parse_qsl(parts.query))
        self._by_role = options.get("iam") == "true"
        if not (parts.hostname and parts.path.strip("/") and (parts.username or self._by_role)):
            raise BadUsageError(
                "expected DEFTUNES_WAREHOUSE_DSN as redshift://user:password@host:5439/database, or "
                "redshift://host:5439/database?iam=true for the IAM role of this process, got a part missing"
            )
        # A role's user in the warehouse carries the role's name: AWS hands out his password, good for minutes.
        login: dict[str, Any] = {"iam": True}
        if not self._by_role:
            login = {"user": unquote(parts.username or ""), "password": unquote(parts.password or "")}
        self._parameters: dict[str, Any] = {
            "host": parts.hostname,
            "port": parts.port or _PORT,
            **login,
            "database": unquote(parts.path.strip("/")),
            **{key: value for key, value in options.items() if key in {"sslmode", "application_name"}},
        }
        self._lock_timeout = lock_timeout

    def query(self, sql: str) -> QueryResult:
        """Ask one question; see the protocol."""
        with self.questions() as ask:
            return ask(sql)

    @contextmanager
    def questions(self) -> Iterator[Ask]:
        """Ask several; see the protocol."""
        with closing(self._connect()) as asking:
            asking.autocommit = True  # or the driver begins a transaction of its own, one that can write
            with _translate_errors("the query"):
                asking.cursor().execute("begin read only")
            yield partial(_ask, asking)

    @contextmanager
    def hold(self, *, exclusive: bool) -> Iterator[WarehouseConnection]:  # noqa: ARG002 - every lock is exclusive here
        """Wait for the lock and hold it; see the protocol."""
        with closing(self._connect()) as holder, closing(self._connect()) as worker:
            self._lock(holder)
            yield _RedshiftConnection(holder, worker)

    def free_connections(self) -> int | None:
        """Not asked: `connection limit` of Redshift counts otherwise, and is rare; see the protocol."""
        return None

    def dbt_environment(self) -> dict[str, str]:
        """What dbt and its driver read; see the protocol."""
        return {
            "DEFTUNES_WAREHOUSE_HOST": self._parameters["host"],
            "DEFTUNES_WAREHOUSE_PORT": str(self._parameters["port"]),
            "DEFTUNES_WAREHOUSE_DATABASE": self._parameters["database"],
            "DEFTUNES_WAREHOUSE_METHOD": "iam_role" if self._by_role else "database",
            "DEFTUNES_WAREHOUSE_USER": self._parameters.get("user", ""),
            "DBT_ENV_SECRET_WAREHOUSE_PASSWORD": self._parameters.get("password", ""),
        }

    def _connect(self) -> "Connection":
        try:
            return redshift_connector.connect(**self._parameters, tcp_keepalive=True)
        except (Error, OSError) as error:
            if "authentication failed" in str(error):
                raise DeftunesError("the warehouse refused the login. Check DEFTUNES_WAREHOUSE_DSN") from None
            raise RetriableError(
                f"expected Redshift to answer at {self._parameters['host']}:{self._parameters['port']}, got "
                f"{type(error).__name__}: {error}. Run the command again"
            ) from error

    def _lock(self, holder: "Connection") -> None:
        cursor = holder.cursor()
        with _translate_errors("the warehouse lock"):
            # IF NOT EXISTS would want the rights to create what is there already.
            cursor.execute("select 1 from pg_namespace where nspname = %s", (layout.CONTROL_SCHEMA,))
            if not cursor.fetchall():
                cursor.execute(f"create schema if not exists {layout.CONTROL_SCHEMA}")
            cursor.execute("select 1 from pg_tables where schemaname || '.' || tablename = %s", (_LOCK_TABLE,))
            if not cursor.fetchall():
                cursor.execute(f"create table if not exists {_LOCK_TABLE} (held boolean)")
            holder.commit()
            # A session setting: a transaction that waits for a lock is cancelled with its statement.
            cursor.execute(f"set statement_timeout to {max(1, int(self._lock_timeout * 1000))}")
            try:
                cursor.execute(f"lock {_LOCK_TABLE}")
            except Error as error:
                if _CANCELLED not in str(error):
                    raise
                raise RetriableError(
                    f"expected the warehouse lock within {self._lock_timeout:g} s, got none: another `load` or `model` "
                    "holds it. Run the command again when that has ended"
                ) from error
            cursor.execute("set statement_timeout to 0")


def _ask(asking: "Connection", sql: str) -> QueryResult:
    with _translate_errors("the query"):
        cursor = asking.cursor()
        cursor.execute(sql.strip().rstrip(";"))
        if cursor.description is None:
            return QueryResult((), [])
        return QueryResult(
            tuple(str(column[0]) for column in cursor.description), [tuple(row) for row in cursor.fetchall()]
        )


class _RedshiftConnection:
    dialect: ClassVar[Dialect] = Dialect.REDSHIFT

    def __init__(self, holder: "Connection", worker: "Connection") -> None:
        self._holder = holder
        self._worker = worker

    def transaction(self) -> AbstractContextManager[None]:
        return self._transaction()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with _translate_errors("the transaction"):
            self._holder.cursor().execute("select 1")  # fails once the connection, and with it the lock, is gone
            try:
                yield
                self._worker.commit()
            except BaseException:
                self._worker.rollback()
                raise

    def run(self, sql: str, parameters: Sequence[object] = ()) -> list[Row]:
        cursor = self._worker.cursor()
        cursor.execute(sql, tuple(parameters)) if parameters else cursor.execute(sql)
        return [] if cursor.description is None else [tuple(row) for row in cursor.fetchall()]

    def copy(self, sql: str, stream: io.RawIOBase) -> None:  # noqa: ARG002 - the protocol's signature
        raise AssertionError("Redshift reads silver through its external schema; nothing is copied")


@contextmanager
def _translate_errors(what: str) -> Iterator[None]:
    """Turn the driver's errors into ours: refused for good, or worth another try."""
    try:
        yield
    except (InterfaceError, OperationalError, OSError) as error:
        raise RetriableError(
            f"the warehouse broke off {what}: {error}. Nothing of it was kept; run the command again"
        ) from error
    except Error as error:
        if "1023" in str(error):  # serializable isolation violation
            raise RetriableError(f"the warehouse gave {what} up: {error}. Run the command again") from error
        raise DeftunesError(f"the warehouse refused {what}: {error}") from error
