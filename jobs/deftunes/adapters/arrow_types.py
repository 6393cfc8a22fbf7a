"""Silver's types as Arrow's. Spark's Python workers import this: nothing heavy here."""

from collections.abc import Mapping

import pyarrow as pa

_TYPES = {
    "string": pa.string(),
    "binary": pa.binary(),
    "int": pa.int32(),
    "bigint": pa.int64(),
    "double": pa.float64(),
    "boolean": pa.bool_(),
    "timestamp": pa.timestamp("us", "UTC"),
    "decimal(12,2)": pa.decimal128(12, 2),
    "decimal(11,8)": pa.decimal128(11, 8),
}


def arrow_schema(types: Mapping[str, str]) -> pa.Schema:
    """The schema of columns whose types by name are written as silver's."""
    return pa.schema([(name, _TYPES[type_]) for name, type_ in types.items()])
