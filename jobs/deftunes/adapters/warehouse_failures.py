"""Errors of PostgreSQL as the warehouse, translated into ours.

Which ones are transient stands in `postgres_errors`, the one table for both PostgreSQLs; here is what a message says.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg2

from deftunes.adapters.postgres_errors import is_transient
from deftunes.core.errors import DeftunesError, RetriableError

# In this class of errors alone the message itself quotes a value: invalid input syntax for type numeric: "...".
_DATA_EXCEPTION = "22"
_QUOTED = re.compile('".*"', re.DOTALL)
_QUOTED_PIECE = re.compile('"[^"]*"?')
# What the driver raises where it has no code because no server answered; its other classes are mistakes of ours.
_LOST = {psycopg2.DatabaseError, psycopg2.OperationalError, psycopg2.InterfaceError}
# SQLSTATE, the server's words, and whose limit it was: the server names the event and not the setting. dbt passes on
# words alone, and a refused connection comes without a code.
_LIMITS = (
    ("57014", "due to statement timeout", "statement_timeout of this user ended it"),
    ("55P03", "due to lock timeout", "lock_timeout of this user ended the wait for another session's lock"),
    ("25P03", "idle-in-transaction timeout", "idle_in_transaction_session_timeout of this user ended it"),
    ("25P04", "transaction timeout", "transaction_timeout of this user ended it"),
    ("57P05", "idle-session timeout", "idle_session_timeout of this user ended it"),
    (
        "25006",
        "in a read-only transaction",
        "either default_transaction_read_only is on for this user or database, or the server is a standby",
    ),
    ("53300", "too many connections for role", "the connection limit of this user is reached"),
    ("53300", "too many connections for database", "the connection limit of this database is reached"),
    ("53300", "too many clients", "max_connections of the server is reached"),
    ("53300", "connection slots are reserved", "max_connections of the server is reached"),
    (
        "55000",
        "does not have a replica identity",
        "a publication of this database publishes deletes: name its tables in the publication without the schemas "
        "deftunes_*, or run `alter table ... replica identity full` for each of theirs",
    ),
    (
        "2BP01",
        "because other objects depend on it",
        "this release changes a view that somebody's own view or function is built on: keep its SQL (pg_get_viewdef), "
        "drop it, run `deftunes model` again, and create it again",
    ),
    ("53100", "No space left on device", "the server's disk is full"),
    ("53400", "temporary file size exceeds", "temp_file_limit of this user ended it"),
    (
        "42501",
        "permission denied",
        "docs/runbook.md lists the rights that this user needs (The warehouse's user)",
    ),
)


def connection_failure(words: str) -> DeftunesError:
    """A connection that was not made, as an error; libpq tells it in words only."""
    reason = " ".join(words.split())
    if "FATAL:" not in reason:  # libpq itself: it quotes pieces of the string, which may be pieces of a password
        reason = _QUOTED_PIECE.sub('"..."', reason)
    said = f"{reason}{_limit(None, reason)}"
    if is_transient(None, words):
        return RetriableError(
            f"expected the warehouse to answer, got: {said}. `deftunes doctor` says what is up; then run the command "
            "again"
        )
    return DeftunesError(f"the warehouse refused the login: {said}. Check DEFTUNES_WAREHOUSE_DSN")


@contextmanager
def translate_errors(what: str) -> Iterator[None]:
    """Turn the driver's errors into ours: refused for good, or worth another try."""
    try:
        yield
    except psycopg2.Error as error:
        if (error.pgcode is None and type(error) in _LOST) or is_transient(error.pgcode, str(error)):
            raise RetriableError(
                f"the warehouse broke off {what}: {describe_error(error)}. {_outcome(what)}; run the command again"
            ) from error
        raise DeftunesError(f"the warehouse refused {what}: {describe_error(error)}") from error
    except (UnicodeDecodeError, UnicodeEncodeError) as error:
        raise DeftunesError(f"expected text in UTF-8 in {what}, got bytes that are none: {error.reason}") from error


def _outcome(what: str) -> str:
    if what == "the commit":  # the answer may have been lost, and not the commit
        return "Whether it was kept the next run finds out"
    return "Nothing of it was kept"


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
    return f"{message} ({where})" if where else f"{message}{_limit(diag.sqlstate, message)}"


def explain_words(message: str) -> str:
    """What dbt passed on of a failure, with whose limit it was."""
    return f"{message}{_limit(None, message)}"


def _limit(sqlstate: str | None, message: str) -> str:
    for code, words, meaning in _LIMITS:
        if words in message and sqlstate in {None, code}:
            return f"; {meaning}"
    # A server that speaks another language.
    codes = [meaning for code, _, meaning in _LIMITS if code == sqlstate]
    return f"; {codes[0]}" if len(codes) == 1 else ""
