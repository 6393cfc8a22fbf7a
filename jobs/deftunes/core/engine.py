"""What runs the SQL of transform and quality: one small protocol, behind it DuckDB in this process or Spark.

    landed objects + silver's rows -> tables by name -> statements, each kept under its name -> rows | a branch

The statements are in `transform/sql/`, in the SQL that both engines read (docs/adr/0029).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import pyarrow as pa

    from deftunes.core.rules import RuleOutcome, Ruleset

    Convert = Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]


@dataclass(frozen=True, slots=True)
class Objects:
    """Objects of the lake that are read alike.

    `convert` gets batches of what they hold and yields batches of the table's columns. Of `lines` (gzip, one record a
    line) a batch has the columns value and path; otherwise it has the columns of a Parquet file.
    """

    keys: tuple[str, ...]
    convert: "Convert"
    lines: bool = False


@dataclass(frozen=True, slots=True)
class Between:
    """Rows whose column is in one of these half-open ranges."""

    column: str
    ranges: tuple[tuple[datetime, datetime], ...]


@dataclass(frozen=True, slots=True)
class OneOf:
    """Rows whose column has one of these values."""

    column: str
    values: tuple[datetime, ...]


@dataclass(frozen=True, slots=True)
class SameKey:
    """Rows whose column has the value of a row that is written."""

    column: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BranchWrite:
    """What a branch is to be: `table` at the snapshot `base` (None: empty), without what is replaced, and these rows.

    `rows` is a query that yields the table's columns. Every commit of it carries `batch_id`, or is followed by one of
    the same writer that does.
    """

    table: str
    branch: str
    base: int | None
    batch_id: str
    rows: str
    replaced: Between | OneOf | SameKey | None


class Engine(Protocol):
    """Tables by name, for the length of one stage of one batch. Names are plain words."""

    def expect_rules(self, rules: "Ruleset") -> None:
        """That this engine judges by all of these; asked before anything is written.

        Raises:
            NotCompiledError: not by one of them.
        """

    def land(self, name: str, columns: Mapping[str, str], objects: Sequence[Objects]) -> None:
        """What objects hold as a table; `columns` are its types by name, as silver's are written."""

    def silver(
        self,
        name: str,
        table: str,
        snapshot: int | None,
        *,
        columns: Sequence[str] | None = None,
        outside: Between | None = None,
        batch_id: str | None = None,
    ) -> None:
        """A silver table at a snapshot (None: no rows): these columns, of the rows not `outside`, of one batch.

        A column that the table has got since is NULL.
        """

    def values(self, name: str, column: str, values: Sequence[str]) -> None:
        """A table of one column."""

    def define(self, name: str, query: str) -> None:
        """The rows of a query as a table, computed wherever it is read."""

    def keep(self, name: str, query: str) -> None:
        """The rows of a query as a table, computed once."""

    def row(self, query: str) -> Mapping[str, Any]:
        """The one row of a query."""

    def rows(self, query: str) -> Iterator[Mapping[str, Any]]:
        """The rows of a query, a bounded number of them in memory."""

    def broken(self, name: str, rules: "Ruleset") -> str:
        """Row rules as arguments of concat_ws for the rows of `name`; `deftunes.core.dqdl.texts` reads the result."""

    def audit(self, name: str, rules: "Ruleset") -> "list[RuleOutcome]":
        """Every rule's outcome over the rows of `name`, which has some."""

    def write(self, write: BranchWrite) -> None:
        """Write a branch that is not there.

        Raises:
            RetriableError: another run changed the table meanwhile.
        """
