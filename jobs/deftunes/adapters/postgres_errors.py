"""Which errors of PostgreSQL are transient, and what of their text may be shown.

What is not listed here is not known to pass: a person is told what the server or libpq said. Codes are those of
https://www.postgresql.org/docs/18/errcodes-appendix.html
"""

import re

# SQLSTATE -> the condition, which ends without anybody changing this server, its settings or ours.
TRANSIENT_STATES = {
    "08000": "connection_exception",
    "08001": "sqlclient_unable_to_establish_sqlconnection",
    "08003": "connection_does_not_exist",
    "08006": "connection_failure",
    "08007": "transaction_resolution_unknown",
    "40001": "serialization_failure: also a standby's conflict with recovery",
    "40003": "statement_completion_unknown",
    "40P01": "deadlock_detected",
    "53000": "insufficient_resources",
    "53200": "out_of_memory",
    "53300": "too_many_connections: also the limit of a role or database",
    "55006": "object_in_use",
    "55P03": "lock_not_available: also lock_timeout",
    "57P01": "admin_shutdown",
    "57P02": "crash_shutdown",
    "57P03": "cannot_connect_now",
    "57P05": "idle_session_timeout",
    "72000": "snapshot_too_old",
}
_QUERY_CANCELED = "57014"  # by an operator, which passes, or by statement_timeout, which comes again

# Where no connection is made or one is lost, libpq gives no SQLSTATE, only words.
_TRANSIENT_WORDS = (
    # The operating system's, which libpq appends (glibc's strerror and gai_strerror).
    "Connection refused",
    "Connection reset by peer",
    "Connection timed out",
    "Broken pipe",
    "Host is down",
    "Network is down",
    "Network is unreachable",
    "No route to host",
    "Temporary failure in name resolution",
    # libpq's own: fe-connect.c, fe-misc.c, fe-secure-openssl.c.
    "Is the server running",
    "timeout expired",
    "no connection to the server",
    "server closed the connection unexpectedly",
    "SSL connection has been closed unexpectedly",
    "SSL SYSCALL error: EOF detected",
    "could not receive data from server",
    "could not send data to server",
    # libpq's, for target_session_attrs: so until a failover has ended.
    "session is read-only",
    "session is not read-only",
    "server is in hot standby mode",
    "server is not in hot standby mode",
    # The server's before it has a session: 53300 and 57P03 (proc.c, postinit.c, postmaster.c), 57P01 (postgres.c).
    "too many clients already",
    "too many connections for",
    "remaining connection slots are reserved",
    "the database system is starting up",
    "the database system is shutting down",
    "the database system is in recovery mode",
    "the database system is not yet accepting connections",
    "the database system is not accepting connections",
    "terminating connection due to administrator command",
    "terminating connection because of crash of another server process",
    # PgBouncer's, which come as 08P01 or without a code (https://www.pgbouncer.org/config.html).
    "no more connections allowed",
    "query_wait_timeout",
    "server_login_retry",
    "server login has been failing",
    "pgbouncer cannot connect to server",
)

# A limit that the server's owner set -> where it is changed.
_LIMITS = {
    "statement timeout": "the source's statement_timeout ended it: raise it for this user",
    "lock timeout": "the source's lock_timeout ended the wait for another session's lock",
    "idle-in-transaction timeout": "the source's idle_in_transaction_session_timeout ended it: raise it for this user",
    "transaction timeout": "the source's transaction_timeout ended it: raise it for this user",
    "too many connections for role": "the connection limit of this user is reached",
    "too many connections for database": "the connection limit of this database is reached",
    "too many clients already": "the server's max_connections is reached",
    "remaining connection slots are reserved": "the server's max_connections is reached",
    "temporary file size exceeds": "the source's temp_file_limit ended it: raise it for this user",
}
_ATTEMPT = re.compile(r"(?=connection to server (?:at|on) )")
_QUOTED = re.compile(r'"[^"]*"?')
_SERVER_SAID = re.compile(r"\b(?:ERROR|FATAL|PANIC): +(.*)")
_DRIVER_SAID = re.compile(r"^[A-Z_]+: \[libpq\] (?:Failed to connect: )?")


def is_transient(sqlstate: str | None, text: str) -> bool:
    """Whether the same call can end well later although nobody changed anything."""
    if sqlstate in TRANSIENT_STATES:
        return True
    if sqlstate == _QUERY_CANCELED:
        return "due to user request" in text
    # Other errors may quote what a person wrote.
    about_connection = sqlstate is None or sqlstate.startswith("08")
    # Of several addresses libpq tells of each: one that refuses for good is not mended by one that is down.
    attempts = _ATTEMPT.split(text)[1:] or [text]
    return about_connection and all(any(words in one for words in _TRANSIENT_WORDS) for one in attempts)


def cause_of(sqlstate: str | None, text: str) -> str:
    """What the server or libpq said, in one line, and which limit of the source it was.

    libpq quotes pieces of the connection string, which may be pieces of a password: its quotations are left out. The
    server never knew the password in clear.
    """
    said = _SERVER_SAID.search(text)
    if said:
        words = said[1].strip()
    else:
        lines = (_DRIVER_SAID.sub("", line.strip()) for line in text.splitlines())
        words = "; ".join(_QUOTED.sub('"..."', line) for line in lines if line)
    limit = next((meaning for part, meaning in _LIMITS.items() if part in words), None)
    state = f" (SQLSTATE {sqlstate})" if sqlstate else ""
    return (words or "nothing") + state + (f"; {limit}" if limit else "")
