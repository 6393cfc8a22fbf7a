"""Which driver speaks to a warehouse. It is imported when it is needed: `deftunes query` has two seconds in all."""

from deftunes.adapters.warehouse import Warehouse


def open_warehouse(dsn: str, *, lock_timeout: float = 30.0) -> Warehouse:
    """The warehouse behind `dsn`: `redshift://user:password@host:port/database`, or any libpq string, passed as is.

    Nothing is connected yet. `lock_timeout` is in seconds.
    """
    if dsn.startswith("redshift://"):
        from deftunes.adapters.warehouse_redshift import RedshiftWarehouse

        return RedshiftWarehouse(dsn, lock_timeout)
    from deftunes.adapters.warehouse_postgres import PostgresWarehouse

    return PostgresWarehouse(dsn, lock_timeout)
