"""Silver's tables as PostgreSQL tables: their statements, keys and indexes."""

from collections.abc import Sequence
from dataclasses import dataclass

from pyiceberg.schema import Schema
from pyiceberg.types import (
    BooleanType,
    DateType,
    DecimalType,
    DoubleType,
    FloatType,
    IcebergType,
    IntegerType,
    LongType,
    StringType,
    TimestampType,
    TimestamptzType,
)

from deftunes.core import layout
from deftunes.core.entities import Entity
from deftunes.core.errors import DeftunesError
from deftunes.state.schema import TABLES

_TYPES: dict[type[IcebergType], str] = {
    BooleanType: "boolean",
    DateType: "date",
    DoubleType: "double precision",
    FloatType: "real",
    IntegerType: "integer",
    LongType: "bigint",
    StringType: "text",
    TimestampType: "timestamp without time zone",
    TimestamptzType: "timestamp with time zone",
}
# The same types in the words of silver's declaration; decimal(p,s) needs no translation.
_DECLARED = {
    "bigint": "bigint",
    "boolean": "boolean",
    "double": "double precision",
    "int": "integer",
    "string": "text",
    "timestamp": "timestamp with time zone",
}


@dataclass(frozen=True, slots=True)
class WarehouseColumn:
    """A column of a silver table, and its type in PostgreSQL."""

    name: str
    type: str


def columns_of(silver: Schema, entity: Entity) -> tuple[WarehouseColumn, ...]:
    """The columns of a silver table.

    Raises:
        DeftunesError: a column's type has no counterpart here.
    """
    return tuple(WarehouseColumn(field.name, _type(field.field_type, entity, field.name)) for field in silver.fields)


def table_name(entity: Entity) -> str:
    """The qualified name in the warehouse."""
    return f"{layout.DATABASE}.{entity}"


def quoted(columns: Sequence[str]) -> str:
    """Column names as a list in a statement."""
    return ", ".join(f'"{name}"' for name in columns)


def create_statement(entity: Entity) -> str:
    """The statement that creates the table as declared, without keys and indexes: those come after the first copy."""
    body = ", ".join(f'"{column.name}" {_DECLARED.get(column.type, column.type)}' for column in TABLES[entity].columns)
    return f"create table if not exists {table_name(entity)} ({body})"


def index_statements(entity: Entity) -> dict[str, str]:
    """By name, the statements that create the table's indexes."""
    return {
        f"{entity}_key": f"alter table {table_name(entity)} add constraint {entity}_key "
        f"primary key ({quoted(entity.declaration.key)})",
        **{
            (name := f"{entity}_by_{columns[0]}"): f"create index {name} on {table_name(entity)} ({quoted(columns)})"
            for columns in entity.declaration.lookups
        },
    }


def _type(kind: IcebergType, entity: Entity, name: str) -> str:
    if isinstance(kind, DecimalType):
        return f"numeric({kind.precision},{kind.scale})"
    try:
        return _TYPES[type(kind)]
    except KeyError:
        raise DeftunesError(
            f"{entity}: expected column {name} of a plain type, got {kind}. Change silver's schema, or teach "
            "deftunes.load.tables that type"
        ) from None
