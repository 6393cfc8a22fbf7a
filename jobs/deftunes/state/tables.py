"""Silver's tables in the catalog: made where they are missing, widened where a release has more columns. No JVM."""

from typing import TYPE_CHECKING

from pyiceberg.exceptions import CommitFailedException, NoSuchNamespaceError
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.transforms import DayTransform, IdentityTransform
from pyiceberg.types import (
    BooleanType,
    DateType,
    DecimalType,
    DoubleType,
    IcebergType,
    IntegerType,
    ListType,
    LongType,
    NestedField,
    StringType,
    TimestamptzType,
)

from deftunes.adapters.catalog import silver_table
from deftunes.core import layout
from deftunes.core.errors import DeftunesError, RetriableError
from deftunes.state.schema import TABLES, SilverTable

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog
    from pyiceberg.table import Table

_FIRST_PARTITION = 1000  # ids of partition fields begin there, as the specification says
_DAY = "days("
_PLAIN: dict[str, IcebergType] = {
    "bigint": LongType(),
    "boolean": BooleanType(),
    "date": DateType(),
    "double": DoubleType(),
    "int": IntegerType(),
    "string": StringType(),
    "timestamp": TimestamptzType(),
}


def ensure_tables(catalog: "Catalog") -> None:
    """Create what is missing; a column that is new in the schema is added, NULL for the past, without a rewrite.

    Raises:
        DeftunesError: the catalog has no such database.
        RetriableError: another run changed a table meanwhile.
    """
    for name, declared in TABLES.items():
        present = silver_table(catalog, name)
        if present is None:
            _create(catalog, declared)
        else:
            _widen(present, declared)


def iceberg_schema(declared: SilverTable) -> Schema:
    """The declared columns as an Iceberg schema: columns are numbered first, elements of lists after them."""
    count = len(declared.columns)
    return Schema(
        *(
            NestedField(
                number, column.name, _type(column.type, count + number), doc=column.comment, required=column.required
            )
            for number, column in enumerate(declared.columns, 1)
        )
    )


def partition_spec(declared: SilverTable, schema: Schema) -> PartitionSpec:
    """The declared partitions, named as Spark names them."""
    return PartitionSpec(
        *(_partition(expression, _FIRST_PARTITION + n, schema) for n, expression in enumerate(declared.partitioned_by))
    )


def _create(catalog: "Catalog", declared: SilverTable) -> None:
    schema = iceberg_schema(declared)
    try:
        catalog.create_table_if_not_exists(
            (layout.DATABASE, declared.name),
            schema,
            partition_spec=partition_spec(declared, schema),
            properties=dict(declared.properties),
        )
    except NoSuchNamespaceError as error:
        raise DeftunesError(
            f"expected the database {layout.DATABASE} in the Glue catalog, found none. Terraform creates it; or: "
            f"aws glue create-database --database-input Name={layout.DATABASE}"
        ) from error


def _widen(present: "Table", declared: SilverTable) -> None:
    known = {column.name for column in present.schema().columns}
    added = [column for column in declared.columns if column.name not in known]
    if not added:
        return
    try:
        with present.update_schema() as update:
            for column in added:
                update.add_column(column.name, _type(column.type, 0), doc=column.comment)
    except CommitFailedException as error:
        raise RetriableError(f"another run changed {declared.name} meanwhile; nothing was published") from error


def _partition(expression: str, number: int, schema: Schema) -> PartitionField:
    is_day = expression.startswith(_DAY)
    name = expression.removeprefix(_DAY).removesuffix(")")
    source = schema.find_field(name).field_id
    return PartitionField(
        source, number, DayTransform() if is_day else IdentityTransform(), f"{name}_day" if is_day else name
    )


def _type(name: str, element_id: int) -> IcebergType:
    if name.startswith("decimal("):
        precision, scale = name.removeprefix("decimal(").removesuffix(")").split(",")
        return DecimalType(int(precision), int(scale))
    if name.startswith("array<"):
        element = _type(name.removeprefix("array<").removesuffix(">"), 0)
        return ListType(element_id, element, element_required=False)
    return _PLAIN[name]
