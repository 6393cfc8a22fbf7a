"""What is declared of an entity: its key, its columns, how it is landed, which pipeline updates it."""

from dataclasses import dataclass

from deftunes.core.services import Service
from deftunes.core.stages import PipelineName


@dataclass(frozen=True, slots=True)
class Column:
    """One column of silver; `type` is Iceberg's as Spark SQL writes it, `timestamp` is UTC.

    A `required` column is never NULL. One that is not `sent` is computed by transform; of an item, not of its session,
    is what is `of_item`.
    """

    name: str
    type: str
    comment: str
    required: bool = False
    sent: bool = True
    of_item: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """One entity.

    `grain` says what a row of silver is and `key` which columns tell rows apart; `record_key` is the field of a landed
    record that names what it is about, as the source spells it. `needs` are entities that are published before it.
    `lookups` are what load deletes by and the models look up by: each an index of the warehouse, without which a day's
    run would read the whole history.
    """

    grain: str
    key: tuple[str, ...]
    record_key: str
    columns: tuple[Column, ...]
    is_snapshot: bool
    pipeline: PipelineName
    source: Service
    needs: tuple[str, ...] = ()
    lookups: tuple[tuple[str, ...], ...] = ()
    partitioned_by: tuple[str, ...] = ()
    properties: tuple[tuple[str, str], ...] = ()

    @property
    def sent_types(self) -> dict[str, str]:
        """Type by name of the columns that hold what the source sent, in table order."""
        return {column.name: column.type for column in self.columns if column.sent}

    @property
    def content_types(self) -> dict[str, str]:
        """The same without the key: where one of these differs, the entity has changed."""
        return {name: type_ for name, type_ in self.sent_types.items() if name not in self.key}
