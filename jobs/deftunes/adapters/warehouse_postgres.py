"""PostgreSQL as the warehouse, by psycopg2.

Nothing here lives longer than a transaction, neither the lock nor a setting: a pooler in transaction mode (PgBouncer's
`pool_mode = transaction`) gives each transaction another session, and two clients the same one. For the same reason
the encoding is set by the connection's own parameter, which such a pooler keeps for each client.
"""

import io
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, ClassVar

import psycopg2
from psycopg2 import errors
from tenacity import retry, retry_if_exception_message, stop_after_delay, wait_fixed

from deftunes.adapters.warehouse import Ask, Dialect, QueryResult, Row, WarehouseConnection
from deftunes.adapters.warehouse_failures import connection_failure, translate_errors
from deftunes.core.errors import BadUsageError, DeftunesError, RetriableError

if TYPE_CHECKING:
    from psycopg2.extensions import ConnectionInfo, connection, cursor

# Any fixed number will do, as long as every release keeps it: "deftunes" as eight bytes.
_LOCK = int.from_bytes(b"deftunes", "big")
_COPY_BYTES = 1 << 20
# A held connection is silent while dbt works; without probes a firewall forgets it and the lock goes with it.
_KEEPALIVE = {"keepalives": 1, "keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3}
# What dbt's profile cannot carry, libpq reads from the environment: its options that have a variable
# (https://www.postgresql.org/docs/18/libpq-envars.html) and are not in the profile.
_LIBPQ_VARIABLES = {
    "channel_binding": "PGCHANNELBINDING",
    "connect_timeout": "PGCONNECT_TIMEOUT",
    "gssdelegation": "PGGSSDELEGATION",
    "gssencmode": "PGGSSENCMODE",
    "gsslib": "PGGSSLIB",
    "krbsrvname": "PGKRBSRVNAME",
    "load_balance_hosts": "PGLOADBALANCEHOSTS",
    "max_protocol_version": "PGMAXPROTOCOLVERSION",
    "min_protocol_version": "PGMINPROTOCOLVERSION",
    "options": "PGOPTIONS",
    "require_auth": "PGREQUIREAUTH",
    "requirepeer": "PGREQUIREPEER",
    "ssl_max_protocol_version": "PGSSLMAXPROTOCOLVERSION",
    "ssl_min_protocol_version": "PGSSLMINPROTOCOLVERSION",
    "sslcert": "PGSSLCERT",
    "sslcertmode": "PGSSLCERTMODE",
    "sslcompression": "PGSSLCOMPRESSION",
    "sslcrl": "PGSSLCRL",
    "sslcrldir": "PGSSLCRLDIR",
    "sslkey": "PGSSLKEY",
    "sslmode": "PGSSLMODE",
    "sslnegotiation": "PGSSLNEGOTIATION",
    "sslrootcert": "PGSSLROOTCERT",
    "sslsni": "PGSSLSNI",
    "target_session_attrs": "PGTARGETSESSIONATTRS",
}
# What the server must speak to hold every text: SQL_ASCII stores the bytes as they come, and they come as UTF-8.
_ENCODING = "UTF8"
_HOLDS_EVERY_TEXT = {"UTF8", "SQL_ASCII"}
# A user's limits that would end a wait for the lock, or a transaction that holds it while others work. The last two end
# the session, of which the driver would know no more than that it is gone. Older servers lack some.
_UNLIMITED = ["statement_timeout", "idle_in_transaction_session_timeout", "transaction_timeout"]


# The driver's protocol takes any number of statements in one text, `commit` among them: a read-only transaction alone
# stops no writer. So the text reaches the server as a value, and the server opens a cursor for it: for one statement,
# one that returns rows (SELECT, TABLE, VALUES, SHOW, EXPLAIN), and inside the transaction that cannot write. The
# planner is told that all rows are wanted, or it would plan for the first tenth of a cursor's.
_ASK = (
    "select set_config('deftunes.question', %s, true), set_config('cursor_tuple_fraction', '1', true)",
    "do $$ declare answer refcursor := 'answer'; "
    "begin open answer for execute current_setting('deftunes.question'); end $$",
    "fetch all from answer",
    "close answer",
)


# A server counts a connection that was just closed until it has noticed.
_LIMIT_REACHED = r"(?s).*too many connections for (?:role|database)"
_CLOSING_SECONDS = 2.0
# What the server lets this user, and this database, open beside what is open; superusers have no limits.
_LIMITS = (
    "select role.rolconnlimit as role_limit, base.datconnlimit as base_limit, base.oid as base, role.oid as role "
    "from pg_roles as role, pg_database as base "
    "where role.rolname = session_user and base.datname = current_database() and not role.rolsuper"
)
_FREE_CONNECTIONS = (
    f"with limits as ({_LIMITS}) select least("
    "case when role_limit >= 0 then role_limit - (select count(*) from pg_stat_activity where usesysid = role) end, "
    "case when base_limit >= 0 then base_limit - (select count(*) from pg_stat_activity where datid = base) end"
    ")::int from (select 1) as one left join limits on true"
)


class PostgresWarehouse:
    """See `deftunes.adapters.warehouse.Warehouse`."""

    dialect: ClassVar[Dialect] = Dialect.POSTGRES

    def __init__(self, dsn: str, lock_timeout: float) -> None:
        self._dsn = dsn
        self._lock_timeout = lock_timeout

    def query(self, sql: str) -> QueryResult:
        """Ask one question; see the protocol."""
        with self.questions() as ask:
            return ask(sql)

    @contextmanager
    def questions(self) -> Iterator[Ask]:
        """Ask several; see the protocol."""
        with closing(self.connect()) as asking:
            asking.set_session(isolation_level="REPEATABLE READ", readonly=True)
            yield partial(_ask, asking)

    @contextmanager
    def hold(self, *, exclusive: bool) -> Iterator[WarehouseConnection]:
        """Wait for the lock and hold it; see the protocol."""
        if not exclusive:
            yield _PostgresConnection(self, holder=None)
            return
        with closing(self.connect()) as holder:
            with translate_errors("the warehouse lock"):
                self.lock(holder, "pg_advisory_xact_lock")
                _expect_second_allowed(holder)
            self._expect_second_answered(holder)
            yield _PostgresConnection(self, holder)

    def free_connections(self) -> int | None:
        """See the protocol."""
        with closing(self.connect()) as asking, translate_errors("a question"), asking.cursor() as cursor:
            cursor.execute(_FREE_CONNECTIONS)
            ((free,),) = cursor.fetchall()
        return None if free is None else free + 1  # the one that asked is closed

    def dbt_environment(self) -> dict[str, str]:
        """What dbt and its driver read; see the protocol."""
        # The server knows what the string, PG* variables, a service file and a password file come to in the end.
        with closing(self.connect()) as connection:
            info = connection.info
            resolved = info.dsn_parameters
            return {
                "DEFTUNES_WAREHOUSE_HOST": info.host,
                "DEFTUNES_WAREHOUSE_PORT": str(info.port),
                "DEFTUNES_WAREHOUSE_DATABASE": info.dbname,
                "DEFTUNES_WAREHOUSE_USER": info.user,
                "DBT_ENV_SECRET_WAREHOUSE_PASSWORD": info.password or "",
                "PGCLIENTENCODING": _ENCODING,
                **_address_of(info),
                **{name: resolved[key] for key, name in _LIBPQ_VARIABLES.items() if resolved.get(key)},
            }

    def connect(self) -> "connection":
        """A connection that speaks UTF-8, to a database that holds every text.

        Raises:
            BadUsageError: the setting is no address.
            DeftunesError: the login is refused, or the database has another encoding.
            RetriableError: the server does not answer.
        """
        try:
            opened = self._connect()
        except psycopg2.OperationalError as error:
            raise connection_failure(str(error)) from None
        except psycopg2.ProgrammingError:
            # The driver repeats the string, and the string holds a password.
            raise BadUsageError(
                "expected DEFTUNES_WAREHOUSE_DSN to be a libpq string or URI, got another text"
            ) from None
        try:
            _expect_encoding(opened)
        except DeftunesError:
            opened.close()
            raise
        # Sent with each BEGIN. A role may have another default, whose snapshot would be from before the lock.
        opened.set_session(isolation_level="READ COMMITTED")
        return opened

    @retry(
        retry=retry_if_exception_message(match=_LIMIT_REACHED),
        stop=stop_after_delay(_CLOSING_SECONDS),
        wait=wait_fixed(_CLOSING_SECONDS / 10),
        reraise=True,
    )
    def _connect(self) -> "connection":
        # A parameter of the connection wins over PGCLIENTENCODING, the string's own, and the role's.
        opened: connection = psycopg2.connect(self._dsn, client_encoding=_ENCODING, **_KEEPALIVE)  # type: ignore[call-overload]
        return opened

    def lock(self, session: "connection", function: str) -> None:
        """Take the lock until the connection's transaction ends.

        Raises:
            RetriableError: somebody else held it for longer than the lock timeout.
        """
        with session.cursor() as cursor:
            cursor.execute(
                "select set_config('lock_timeout', %s, true), "
                "(select count(set_config(name, '0', true)) from pg_settings where name = any(%s))",
                (f"{max(1, int(self._lock_timeout * 1000))}", _UNLIMITED),
            )
            try:
                cursor.execute(f"select {function}(%s)", (_LOCK,))
            except errors.LockNotAvailable:
                raise RetriableError(
                    f"expected the warehouse lock within {self._lock_timeout:g} s, got none: another `load` or `model` "
                    "holds it. Run the command again when that has ended"
                ) from None

    def _expect_second_answered(self, holder: "connection") -> None:
        """A pooler counts by itself: it lets a statement wait, then hangs up, as a server does that stops."""
        try:
            with closing(self.connect()) as second, second.cursor() as cursor:
                cursor.execute("select 1")
        except psycopg2.Error as error:
            with translate_errors("the warehouse lock"), holder.cursor() as cursor:
                cursor.execute("select 1")  # the server is up
            raise DeftunesError(
                "expected a second connection to the warehouse beside the one that holds the lock, got: "
                f"{' '.join(str(error).split())}. Is a pooler between? It needs a pool_size of 2 at least; if it was "
                "only busy, run the command again"
            ) from error


class _PostgresConnection:
    """A connection for each transaction: none is idle, and none outlives a server, while dbt works for an hour."""

    dialect: ClassVar[Dialect] = Dialect.POSTGRES

    def __init__(self, warehouse: PostgresWarehouse, holder: "connection | None") -> None:
        self._warehouse = warehouse
        self._holder = holder
        self._worker: connection | None = None

    def transaction(self) -> AbstractContextManager[None]:
        return self._transaction()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with closing(self._warehouse.connect()) as self._worker:
            try:
                with translate_errors("the transaction"):
                    if self._holder is None:
                        self._share_lock(self._worker)
                    yield
                self._expect_lock()
            except BaseException:
                with suppress(psycopg2.Error):  # what came first is the cause
                    self._worker.rollback()
                raise
            with translate_errors("the commit"):
                self._worker.commit()

    def run(self, sql: str, parameters: Sequence[object] = ()) -> list[Row]:
        with self._cursor() as cursor:
            cursor.execute(sql, tuple(parameters) or None)
            return [] if cursor.description is None else cursor.fetchall()

    def copy(self, sql: str, stream: io.RawIOBase) -> None:
        source = _Source(stream)
        with self._cursor() as cursor:
            try:
                cursor.copy_expert(sql, source, _COPY_BYTES)
            except errors.QueryCanceled:
                if source.failure is not None:
                    raise source.failure from None
                raise

    def _cursor(self) -> "cursor":
        assert self._worker is not None, "statements run inside transaction()"
        return self._worker.cursor()

    def _share_lock(self, worker: "connection") -> None:
        """Within the transaction itself: what it writes is committed under the lock or not at all."""
        self._warehouse.lock(worker, "pg_advisory_xact_lock_shared")
        with worker.cursor() as cursor:
            cursor.execute("set local lock_timeout to default; set local statement_timeout to default")

    def _expect_lock(self) -> None:
        """After the last statement: if the lock is held now it was when that one looked, so no `load` came between."""
        if self._holder is not None:
            with translate_errors("the warehouse lock"), self._holder.cursor() as cursor:
                cursor.execute("select 1")


class _Source(io.RawIOBase):
    """A stream for COPY; remembers its failure, of which the server is told and then tells us as its own."""

    def __init__(self, stream: io.RawIOBase) -> None:
        self._stream = stream
        self.failure: Exception | None = None

    def read(self, size: int = -1, /) -> bytes:
        try:
            return self._stream.read(size) or b""
        except Exception as error:
            self.failure = error
            raise


def _ask(asking: "connection", sql: str) -> QueryResult:
    question, opened, answer, closed = _ASK
    with translate_errors("the query"), asking.cursor() as cursor:
        cursor.execute(question, (sql,))
        try:
            cursor.execute(opened)
        except errors.InvalidCursorDefinition as error:
            raise DeftunesError(
                "expected one statement that returns rows, got another text: "
                f"{error.diag.message_primary}. A query cannot write; run several one by one"
            ) from error
        cursor.execute(answer)
        found = QueryResult(tuple(column.name for column in cursor.description or ()), cursor.fetchall())
        cursor.execute(closed)
        return found


def _expect_second_allowed(holder: "connection") -> None:
    """The server itself says what it would refuse for good."""
    with holder.cursor() as cursor:
        cursor.execute(_LIMITS)
        limits = cursor.fetchall()
    whose = [name for limit in limits for name, most in zip(("user", "database"), limit, strict=False) if most == 1]
    if whose:
        raise DeftunesError(
            f"expected the warehouse to allow this {whose[0]} two connections, one for the lock and one to work on, "
            f"got a connection limit of 1. Raise it: `alter {whose[0]} ... connection limit 8`"
        )


def _address_of(info: "ConnectionInfo") -> dict[str, str]:
    """The address that stands for the host's name, where the string says one: of several the one that answered."""
    options = info.dsn_parameters
    addresses = (options.get("hostaddr") or "").split(",")
    hosts, ports = ((options.get(name) or "").split(",") for name in ("host", "port"))
    for number, address in enumerate(addresses):
        host = hosts[number] if number < len(hosts) else ""
        port = ports[number] if len(ports) > 1 else ports[0]
        if address and info.host in {host, address} and port in {"", str(info.port)}:
            return {"PGHOSTADDR": address}
    return {}


def _expect_encoding(opened: "connection") -> None:
    encoding = opened.info.parameter_status("server_encoding")
    if encoding not in _HOLDS_EVERY_TEXT:
        raise DeftunesError(
            f"expected the warehouse's database in UTF8, which holds every text, got {encoding}. Create one with "
            "`create database ... encoding 'UTF8' template template0`, and name it in DEFTUNES_WAREHOUSE_DSN"
        )
    if opened.info.parameter_status("client_encoding") != _ENCODING:
        raise DeftunesError(
            f"expected the warehouse to speak {_ENCODING} with this client, got "
            f"{opened.info.parameter_status('client_encoding')}. Is a pooler between that ignores client_encoding?"
        )
