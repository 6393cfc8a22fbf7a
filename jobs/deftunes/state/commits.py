"""Commits to tables that all runs share: never replayed by Iceberg, decided again on what another run committed."""

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from pyiceberg.exceptions import CommitFailedException
from tenacity import RetryError, Retrying, retry_if_exception_type, stop_after_attempt

from deftunes.adapters.catalog import silver_table
from deftunes.core.errors import RetriableError

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog
    from pyiceberg.table import Table

T = TypeVar("T")
_TRIES = 10


def commit_retrying(catalog: "Catalog", name: str, change: "Callable[[Table], T]") -> T:
    """Make one change to a shared table; where its commit lost a race, again on the table as it is then.

    Raises:
        RetriableError: other runs came first ten times.
    """

    def change_newest() -> T:
        table = silver_table(catalog, name)
        assert table is not None
        return change(table)

    retrying = Retrying(retry=retry_if_exception_type(CommitFailedException), stop=stop_after_attempt(_TRIES))
    try:
        return retrying(change_newest)
    except RetryError as error:
        raise RetriableError(
            f"{name} was changed by other runs again and again; nothing was lost, run the command again"
        ) from error
