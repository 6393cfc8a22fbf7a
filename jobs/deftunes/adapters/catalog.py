"""The Iceberg tables of silver through the Glue catalog API, read and moved without a JVM (PyIceberg)."""

from typing import TYPE_CHECKING

from pyiceberg.catalog import Catalog, load_catalog
from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.table import Table

from deftunes import layout

if TYPE_CHECKING:
    from deftunes.config import Settings


def open_catalog(settings: "Settings") -> Catalog:
    """The Glue catalog that the settings name; locally the same API at a local endpoint."""
    properties = {
        "type": "glue",
        "glue.region": settings.aws_region,
        "s3.region": settings.aws_region,
        "glue.endpoint": settings.aws_endpoint_url,
        "s3.endpoint": settings.aws_endpoint_url_s3,
        "s3.access-key-id": settings.lake_access_key_id and settings.lake_access_key_id.get_secret_value(),
        "s3.secret-access-key": settings.lake_secret_access_key and settings.lake_secret_access_key.get_secret_value(),
    }
    return load_catalog("deftunes", **{name: value for name, value in properties.items() if value})


def silver_table(catalog: Catalog, name: str) -> Table | None:
    """A silver table as it is now, or None before its first batch."""
    try:
        return catalog.load_table((layout.DATABASE, name))
    except NoSuchTableError:
        return None
