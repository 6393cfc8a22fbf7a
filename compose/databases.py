"""Create a role and a database each for the shop's catalogue, the warehouse, Airflow and Superset, and two readers.

    variables PG* and <ROLE>_PASSWORD  ->  roles, databases and privileges of the server

Idempotent: existing roles and databases stay, passwords are updated, and what a killed run left out is added.
"""

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import psycopg2
from psycopg2.sql import SQL, Identifier, Literal

from deftunes.core import layout

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor  # noqa: N812 - a class in all but its spelling

ROLES = ("shop", "reader", "warehouse", "bi", "airflow", "superset")
DATABASES = ("shop", "warehouse", "airflow", "superset")  # each owned by the role of the same name


def main() -> None:
    """Create roles, databases and privileges on the server of libpq's variables, as its administrator."""
    with autocommit_cursor("postgres") as cursor:
        for role in ROLES:
            if is_missing(cursor, "pg_roles", "rolname", role):
                cursor.execute(SQL("create role {} login").format(Identifier(role)))
            password = Literal(os.environ[f"{role.upper()}_PASSWORD"])
            cursor.execute(SQL("alter role {} password {}").format(Identifier(role), password))
        for name in DATABASES:
            if is_missing(cursor, "pg_database", "datname", name):
                cursor.execute(SQL("create database {} owner {}").format(Identifier(name), Identifier(name)))
            cursor.execute(SQL("revoke all on database {} from public").format(Identifier(name)))
        cursor.execute("grant connect on database shop to reader")
        cursor.execute("grant connect on database warehouse to bi")
    with autocommit_cursor("shop") as cursor:
        cursor.execute("create schema if not exists deftunes authorization shop")
        cursor.execute("grant usage on schema deftunes to reader")
        # The catalogue's loader creates the table, and may replace it.
        cursor.execute("alter default privileges for role shop in schema deftunes grant select on tables to reader")
    with autocommit_cursor("warehouse") as cursor:
        let_bi_read(cursor)


def let_bi_read(cursor: "Cursor") -> None:
    """What dashboards may ask for: the BI views, those to come too, and nothing else of the warehouse."""
    views = Identifier(layout.BI_SCHEMA)
    cursor.execute(SQL("create schema if not exists {} authorization warehouse").format(views))
    cursor.execute(SQL("grant usage on schema {} to bi").format(views))
    cursor.execute(SQL("grant select on all tables in schema {} to bi").format(views))
    cursor.execute(
        SQL("alter default privileges for role warehouse in schema {} grant select on tables to bi").format(views)
    )
    cursor.execute("alter role bi set default_transaction_read_only = on")
    cursor.execute("alter role bi set statement_timeout = '30s'")


@contextmanager
def autocommit_cursor(database: str) -> "Iterator[Cursor]":
    """A cursor in autocommit mode, since databases cannot be created in a transaction."""
    with closing(psycopg2.connect(dbname=database)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            yield cursor


def is_missing(cursor: "Cursor", catalogue: str, column: str, name: str) -> bool:
    """Whether the catalogue table has no row of this name."""
    found = SQL("select from {} where {} = {}").format(Identifier(catalogue), Identifier(column), Literal(name))
    cursor.execute(found)
    return cursor.rowcount == 0


if __name__ == "__main__":
    main()
