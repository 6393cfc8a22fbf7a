"""Which words of libpq and of servers mean that trying again helps, and what of them is shown."""

import pytest

from deftunes.adapters.postgres_errors import TRANSIENT_STATES, cause_of, is_transient

FAILED = 'IO: [libpq] Failed to connect: connection to server at "db.example.com" (10.0.0.1), port 5432 failed: '


@pytest.mark.parametrize(
    "words",
    [
        "Connection refused\n\tIs the server running on that host and accepting TCP/IP connections?",
        "FATAL:  the database system is starting up",
        "FATAL:  the database system is not yet accepting connections\nDETAIL:  Consistent recovery state ...",
        'FATAL:  too many connections for role "reader"',
        "FATAL:  remaining connection slots are reserved for roles with the SUPERUSER attribute",
        "timeout expired",
        "server closed the connection unexpectedly",
        "session is read-only",
        "FATAL:  query_wait_timeout",
    ],
)
def test_what_passes_is_transient(words: str) -> None:
    assert is_transient(None, FAILED + words)


@pytest.mark.parametrize(
    "words",
    [
        'FATAL:  password authentication failed for user "reader"',
        "FATAL:  Passwort-Authentifizierung fehlgeschlagen",
        'FATAL:  role "reader" is not permitted to log in',
        'FATAL:  permission denied for database "shop"',
        "server does not support SSL, but SSL was required",
        "SSL error: certificate verify failed",
        'root certificate file "/root/.postgresql/root.crt" does not exist',
        "could not translate host name to address: Name or service not known",
        "something that nobody has seen yet",
    ],
)
def test_what_is_not_known_to_pass_is_final_and_said(words: str) -> None:
    assert not is_transient(None, FAILED + words)
    assert cause_of(None, FAILED + words).endswith(words.rpartition('"')[2].rpartition(":  ")[2])


@pytest.mark.parametrize(
    "text",
    [
        'missing "=" after "s3cret" in connection info string\n',
        'invalid integer value "s3cret" for connection option "port"\n',
        'could not translate host name "s3cret@db" to address: Name or service not known\n',
        'invalid percent-encoded token: "s3%zzcret s3cret"\n',
        'invalid URI query parameter: "s3cret"\n',
        'unterminated "s3cret',
    ],
)
def test_what_libpq_quotes_of_a_connection_string_is_left_out(text: str) -> None:
    cause = cause_of(None, f"IO: [libpq] Failed to connect: {text}")
    assert "s3cret" not in cause
    assert cause.startswith(text[:5])


@pytest.mark.parametrize(
    ("state", "words", "transient", "limit"),
    [
        ("57014", "canceling statement due to statement timeout", False, "statement_timeout"),
        ("57014", "canceling statement due to user request", True, ""),
        ("55P03", "canceling statement due to lock timeout", True, "lock_timeout"),
        ("25P03", "terminating connection due to idle-in-transaction timeout", False, "idle_in_transaction"),
        ("25P04", "terminating connection due to transaction timeout", False, "transaction_timeout"),
        ("53300", 'too many connections for role "reader"', True, "limit of this user"),
        ("53400", "temporary file size exceeds temp_file_limit (1kB)", False, "temp_file_limit"),
        ("53100", "could not write to file: No space left on device", False, ""),
        ("22P02", 'invalid input syntax for type integer: "Connection refused"', False, ""),
    ],
)
def test_a_limit_of_the_source_is_named(state: str, words: str, transient: bool, limit: str) -> None:
    assert is_transient(state, f"ERROR:  {words}") is transient
    assert cause_of(state, f"ERROR:  {words}\nDETAIL:  a row").startswith(f"{words} (SQLSTATE {state})")
    assert limit in cause_of(state, f"ERROR:  {words}")


def test_only_classes_of_connections_transactions_resources_and_operators_pass() -> None:
    assert {state[:2] for state in TRANSIENT_STATES} == {"08", "40", "53", "55", "57", "72"}


@pytest.mark.parametrize(
    ("attempts", "passes"),
    [
        (["Connection refused", "Connection refused"], True),
        (["Connection refused", 'FATAL:  password authentication failed for user "app"'], False),
        (['FATAL:  password authentication failed for user "app"', "Connection refused"], False),
        (["Connection refused", "FATAL:  the database system is starting up"], True),
        (['FATAL:  database "nope" does not exist', "timeout expired"], False),
    ],
)
def test_of_several_addresses_one_that_refuses_for_good_decides(attempts: list[str], passes: bool) -> None:
    hosts = ('"localhost" (::1)', '"localhost" (127.0.0.1)')
    words = [
        f"connection to server at {host}, port 5432 failed: {said}" for host, said in zip(hosts, attempts, strict=True)
    ]
    assert is_transient(None, "\n".join(words)) is passes
