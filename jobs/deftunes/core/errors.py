"""Errors carry their recovery: the type says who acts next, the message says what and how.

Every message names what was expected, what came, and the next command. The CLI maps a type to its exit code
and prints the message; it never prints a traceback for one of these.
"""

from typing import ClassVar


class DeftunesError(Exception):
    """Failed for good: running again without changing something ends the same way (exit code 1)."""

    exit_code: ClassVar[int] = 1


class BadUsageError(DeftunesError):
    """The call itself is wrong: an argument or a setting (exit code 2)."""

    exit_code: ClassVar[int] = 2


class RefusedError(DeftunesError):
    """Refused to protect what is published: a person decides, the message names how (exit code 3)."""

    exit_code: ClassVar[int] = 3


class RetriableError(DeftunesError):
    """A later try can succeed, and none does harm: source away, lock or commit lost (exit code 75)."""

    exit_code: ClassVar[int] = 75


class NotPreparedError(RetriableError):
    """The stage before left nothing for this batch on today's `main`: it must run for it (again)."""
