"""The embedded stack for tests: the product's own services in a home of their own, emptied between tests."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import boto3
import psycopg2
from psycopg2 import sql

from deftunes import embedded
from deftunes.core import layout
from deftunes.core.services import Service
from deftunes.core.settings import Settings

NEEDS = frozenset({Service.AWS, Service.POSTGRES})


class Stack:
    """S3, Glue, Secrets Manager and PostgreSQL on this machine."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.settings = embedded.resolve(Settings(home=home), NEEDS)

    def reset(self, **overrides: object) -> Settings:
        """Settings over an empty lake, no silver table and two empty databases."""
        self.settings = embedded.resolve(Settings(home=self.home), NEEDS)  # a drill may have killed a service
        self._empty_lake()
        self._drop_tables()
        self._empty_databases()
        return self.settings.model_copy(update=overrides)

    def environment(self, **extra: str) -> dict[str, str]:
        """The environment of a command that uses this stack."""
        return {**os.environ, "DEFTUNES_HOME": str(self.home), **extra}

    def run(self, *arguments: str, **extra: str) -> "subprocess.CompletedProcess[str]":
        """`deftunes` with these arguments, as a process of its own on this stack."""
        return subprocess.run(
            [sys.executable, "-m", "deftunes", *arguments],
            env=self.environment(**extra), capture_output=True, text=True, check=False,
        )  # fmt: skip

    def close(self) -> None:
        """Stop the services and delete their data."""
        embedded.down(self.settings)
        shutil.rmtree(self.home)

    def _empty_lake(self) -> None:
        assert self.settings.lake
        bucket = self.settings.lake.removeprefix("s3://").partition("/")[0]
        s3 = boto3.client("s3", endpoint_url=self.settings.aws_endpoint_url_s3)
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
            keys = [{"Key": entry["Key"]} for entry in page.get("Contents", ())]
            if keys:
                s3.delete_objects(Bucket=bucket, Delete={"Objects": keys, "Quiet": True})
        s3.close()

    def _drop_tables(self) -> None:
        glue = boto3.client("glue", endpoint_url=self.settings.aws_endpoint_url)
        for table in glue.get_tables(DatabaseName=layout.DATABASE)["TableList"]:
            glue.delete_table(DatabaseName=layout.DATABASE, Name=table["Name"])
        glue.close()

    def _empty_databases(self) -> None:
        for dsn in (self.settings.songs_dsn, self.settings.warehouse_dsn):
            assert dsn
            text = dsn.get_secret_value()
            name = psycopg2.extensions.parse_dsn(text)["dbname"]
            connection = psycopg2.connect(text, dbname="postgres")
            connection.autocommit = True  # a database is dropped outside of any transaction
            with connection.cursor() as cursor:
                cursor.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))
                cursor.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
            connection.close()


def open_stack() -> Stack:
    """A stack in a new home. Close it."""
    return Stack(Path(tempfile.mkdtemp(prefix="deftunes-test-")))
