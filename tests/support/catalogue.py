"""A database of its own for the song catalogue, and the catalogue's command line on it."""

import os
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from typing import Any
from unittest.mock import patch

import psycopg2
from psycopg2.extensions import make_dsn

from deftunes.core.settings import Settings
from song_catalog.__main__ import main

_VARIABLE = "CATALOGUE_UNDER_TEST"


@dataclass(frozen=True, slots=True)
class CommandResult:
    """How a command ended."""

    exit_code: int
    stdout: str
    stderr: str


@dataclass(frozen=True, slots=True)
class Catalogue:
    """A database for songs. Commands run in this process: starting one takes longer than what they do."""

    dsn: str

    def run(self, *arguments: object, exit_code: int = 0) -> CommandResult:
        """`python -m song_catalog` with these arguments, which must end as expected."""
        stdout, stderr = StringIO(), StringIO()
        command = ["song_catalog", *map(str, arguments), "--dsn-env", _VARIABLE]
        with (
            patch.dict(os.environ, {_VARIABLE: self.dsn}),
            patch.object(sys, "argv", command),
            redirect_stdout(stdout),
            redirect_stderr(stderr),
        ):
            try:
                main()
            except SystemExit as ended:
                ran = CommandResult(int(ended.code or 0), stdout.getvalue(), stderr.getvalue())
        assert ran.exit_code == exit_code, ran
        return ran

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        """All rows of an answer."""
        with closing(psycopg2.connect(self.dsn)) as connection, connection, connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall()

    def songs(self) -> list[tuple[Any, ...]]:
        """The whole table, in one order."""
        return self.query("select * from deftunes.songs order by track_id, title")

    def clear(self) -> None:
        """No table and no schema."""
        with closing(psycopg2.connect(self.dsn)) as connection, connection, connection.cursor() as cursor:
            cursor.execute("drop schema if exists deftunes cascade")


@contextmanager
def new_catalogue(settings: Settings, database: str) -> Iterator[Catalogue]:
    """A new database beside the one of the stack's songs, dropped in the end."""
    assert settings.songs_dsn
    server_dsn = settings.songs_dsn.get_secret_value()
    with closing(psycopg2.connect(server_dsn)) as connection:
        connection.autocommit = True  # a database is made and dropped outside of any transaction
        with connection.cursor() as cursor:
            cursor.execute(f"drop database if exists {database} with (force)")
            cursor.execute(f"create database {database}")
            try:
                yield Catalogue(make_dsn(server_dsn, dbname=database))
            finally:
                cursor.execute(f"drop database {database} with (force)")
