"""The warehouse: PostgreSQL on a laptop, Redshift on AWS, one small surface over both drivers.

    query      one read-only question
    questions  several of one moment
    hold       transactions under the warehouse lock: exclusive for `model`, shared for `load`

The lock lives in the server and belongs to a transaction, so a killed process never leaves it behind, and a pooler that
shares connections between clients never shares the lock. `model` holds it in a transaction that stays open while dbt
works on other connections; `load` takes it shared in each of its own: what `model` reads does not move while it builds.
"""

import io
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar, Protocol

Row = tuple[Any, ...]


class Dialect(StrEnum):
    """Which SQL the warehouse speaks; the value is the dbt adapter's name."""

    POSTGRES = "postgres"
    REDSHIFT = "redshift"


@dataclass(frozen=True, slots=True)
class QueryResult:
    """What a query returned."""

    columns: tuple[str, ...]
    rows: list[Row]


Ask = Callable[[str], QueryResult]  # as `query` does


class WarehouseConnection(Protocol):
    """Transactions under the lock. Statements run inside `transaction()` and nowhere else."""

    dialect: ClassVar[Dialect]

    def transaction(self) -> AbstractContextManager[None]:
        """All or nothing; commits only while the lock is held.

        Raises:
            RetriableError: the server or the lock is gone, or a `load` did not get the lock within the lock timeout.
        """
        ...

    def run(self, sql: str, parameters: Sequence[object] = ()) -> list[Row]:
        """One statement; placeholders are `%s`."""
        ...

    def copy(self, sql: str, stream: io.RawIOBase) -> None:
        """COPY ... FROM STDIN, read from `stream` piece by piece."""
        ...


class Warehouse(Protocol):
    """What the stages and the edge need of a warehouse."""

    dialect: ClassVar[Dialect]

    def query(self, sql: str) -> QueryResult:
        """Ask one question: one statement, in a transaction that can write nothing.

        Raises:
            DeftunesError: the SQL is refused, or is not one statement.
            RetriableError: the server does not answer.
        """
        ...

    def questions(self) -> AbstractContextManager[Ask]:
        """Several questions, in one transaction that can write nothing: their answers are of one moment.

        Raises:
            RetriableError: the server does not answer.
        """
        ...

    def hold(self, *, exclusive: bool) -> AbstractContextManager[WarehouseConnection]:
        """Wait for the warehouse lock and hold it: exclusive until the end, shared in each transaction.

        Raises:
            DeftunesError: the server or a pooler allows no second connection, on which to work under the lock.
            RetriableError: somebody else held it for longer than the lock timeout.
        """
        ...

    def free_connections(self) -> int | None:
        """How many more connections the limits of this user and this database allow now; None: they have none."""
        ...

    def dbt_environment(self) -> dict[str, str]:
        """The variables that profiles.yml and the driver under dbt read. Holds the password: never log it."""
        ...
