"""The whole pipeline over the test stack: run here or as a process of its own, and looked at zone by zone."""

import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from itertools import takewhile
from typing import TYPE_CHECKING, Any

import boto3
import psycopg2
from psycopg2 import sql
from psycopg2.extensions import parse_dsn

from deftunes.adapters.catalog import Refs, silver_table
from deftunes.core import layout
from deftunes.core.entities import Entity
from deftunes.core.interval import Interval
from deftunes.core.settings import Settings
from deftunes.core.stages import ExtractOptions, PipelineName, Stage
from deftunes.pipeline import Outcome, run_pipeline, run_stage
from deftunes.resources import Resources
from deftunes.state import quarantine
from deftunes.state.schema import TABLES
from support.catalogue import Catalogue
from support.gold import Gold, actual_gold

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from deftunes.adapters.dbt import Project
    from support.simulator import Simulator
    from support.stack import Stack

DAY = timedelta(days=1)
OPENING = date(2020, 1, 1)
_COPY = "warehouse_snapshot"
Days = tuple[int, int]  # half-open, counted from the opening of the shop


def interval(days: Days) -> Interval:
    """The interval of these days of the shop."""
    return Interval(OPENING + DAY * days[0], OPENING + DAY * days[1])


class _DbtHere(Resources):
    """A test run has imported dbt already: a process of its own would only have to do so again."""

    def start_dbt(self, project: "Project") -> None:
        """Not."""


@dataclass(frozen=True)
class Pipeline:
    """The pipeline under test: sources, settings and, where it runs on Spark, the test run's one session."""

    stack: "Stack"
    settings: Settings
    spark: "SparkSession | None" = None

    def with_settings(self, **overrides: object) -> "Pipeline":
        """The same services under other settings."""
        return replace(self, settings=self.settings.model_copy(update=overrides))

    @property
    def catalogue(self) -> Catalogue:
        """The songs' source."""
        assert self.settings.songs_dsn
        return Catalogue(self.settings.songs_dsn.get_secret_value())

    @contextmanager
    def resources(self) -> Iterator[Resources]:
        """Resources on the test run's Spark session, which outlives it."""
        resources = _DbtHere(self.settings)
        if self.spark:
            resources.__dict__["spark"] = self.spark
        try:
            yield resources
        finally:
            if self.spark:
                del resources.__dict__["spark"]
            resources.close()

    def run(
        self, days: Days, name: PipelineName = PipelineName.ALL, options: ExtractOptions | None = None
    ) -> list[Outcome]:
        """`deftunes run` in this process."""
        with self.resources() as resources:
            return list(run_pipeline(resources, name, interval(days), options))

    def run_until_published(
        self, days: Days, name: PipelineName, options: ExtractOptions | None = None
    ) -> list[Outcome]:
        """`deftunes run` in this process, broken off when everything is published."""
        with self.resources() as resources:
            outcomes = run_pipeline(resources, name, interval(days), options)
            return list(takewhile(lambda outcome: outcome.stage is not Stage.LOAD, outcomes))

    def stage(self, stage: Stage, entity: Entity | None, days: Days, **options: bool) -> list[Outcome]:
        """One stage in this process."""
        with self.resources() as resources:
            return list(run_stage(resources, stage, entity, interval(days), ExtractOptions(**options)))

    def command(self, *arguments: object, days: Days | None = None, **extra: str) -> "subprocess.CompletedProcess[str]":
        """`deftunes` as a process of its own, under these settings."""
        asked = interval(days) if days else None
        bounds = ("--start", asked.start, "--end", asked.end) if asked else ()
        return self.stack.run(*map(str, (*arguments, *bounds)), **{**self.variables(), **extra})

    def variables(self) -> dict[str, str]:
        """The settings that tests change, for a process of its own."""
        settings = self.settings
        return {
            "DEFTUNES_API_URL": settings.api_url or "",
            "DEFTUNES_ENGINE": settings.engine,
            "DEFTUNES_LOOK_BACK": str(settings.look_back),
            "DEFTUNES_MAX_REJECTED": str(settings.max_rejected),
            "DEFTUNES_MAX_PRICE": str(settings.max_price),
            "DEFTUNES_HTTP_BUDGET": str(settings.http_budget),
        }

    def gold(self) -> Gold:
        """Every row of gold; fails where a row is there twice."""
        with self.resources() as resources:
            return actual_gold(resources.warehouse)

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        """Ask the warehouse."""
        with self.resources() as resources:
            return resources.warehouse.query(statement).rows

    def revenue(self) -> dict[str, Decimal]:
        """What gold says was sold, per currency."""
        return dict(self.query(f"select currency, sum(price) from {layout.SERVING_SCHEMA}.fact_session group by 1"))

    def silver(self, table: str) -> list[dict[str, Any]]:
        """The rows of a silver table's main, in one order."""
        with self.resources() as resources:
            found = silver_table(resources.catalog, table)
            rows: list[dict[str, Any]] = found.scan().to_arrow().to_pylist() if found else []
        return sorted(rows, key=repr)

    def quarantine(self) -> list[dict[str, Any]]:
        """Every rejected record."""
        with self.resources() as resources:
            return sorted(quarantine.listed(resources.catalog), key=lambda row: (row["entity"], row["record_sha256"]))

    def branches(self) -> list[str]:
        """Branches that nobody published or dropped."""
        with self.resources() as resources:
            return [name for entity in Entity for name in Refs(silver_table(resources.catalog, entity)).branches()]

    def silver_snapshots(self) -> dict[str, list[int]]:
        """Every snapshot of every silver table."""
        with self.resources() as resources:
            tables = {name: silver_table(resources.catalog, name) for name in TABLES}
            return {
                name: [snapshot.snapshot_id for snapshot in table.metadata.snapshots] if table else []
                for name, table in tables.items()
            }

    def objects(self) -> dict[str, str]:
        """Every object of the lake but the log of runs, with its ETag."""
        bucket = self._bucket()
        with closing(boto3.client("s3", endpoint_url=self.settings.aws_endpoint_url_s3)) as s3:
            pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
            return {
                entry["Key"]: entry["ETag"]
                for page in pages
                for entry in page.get("Contents", ())
                if not entry["Key"].startswith("runs/")
            }

    def written_rows(self) -> dict[str, list[tuple[Any, ...]]]:
        """The transaction and place of each row of the warehouse: both move on when a row is written again."""
        tables = self.query(
            "select schemaname || '.' || tablename from pg_tables where schemaname like 'deftunes%' order by 1"
        )
        return {name: sorted(self.query(f"select xmin::text, ctid::text from {name}")) for (name,) in tables}

    def snapshot(self) -> "Snapshot":
        """Copy the lake, the catalog and the warehouse as they are, for `restore`."""
        bucket, tables = self._bucket(), {}
        with closing(boto3.client("s3", endpoint_url=self.settings.aws_endpoint_url_s3)) as s3:
            bodies = {
                key: s3.get_object(Bucket=bucket, Key=key)["Body"].read()
                for key in self.objects()
                if not key.startswith(f"{layout.WAREHOUSE_PREFIX}/")
            }
        with closing(boto3.client("glue", endpoint_url=self.settings.aws_endpoint_url)) as glue:
            for table in glue.get_tables(DatabaseName=layout.DATABASE)["TableList"]:
                tables[table["Name"]] = {name: table[name] for name in _TABLE_INPUT if name in table}
        database = f"{_COPY}_{len(_copies)}"
        _copies.append(database)
        self._copy_database(parse_dsn(self._warehouse_dsn())["dbname"], database)
        return Snapshot(bodies, tables, database)

    def restore(self, snapshot: "Snapshot") -> None:
        """Make lake, catalog and warehouse what they were. Iceberg's own files never change and stay."""
        bucket = self._bucket()
        now = self.objects()
        with closing(boto3.client("s3", endpoint_url=self.settings.aws_endpoint_url_s3)) as s3:
            for key in now.keys() - snapshot.bodies.keys():
                if not key.startswith(f"{layout.WAREHOUSE_PREFIX}/"):
                    s3.delete_object(Bucket=bucket, Key=key)
            for key, body in snapshot.bodies.items():
                s3.put_object(Bucket=bucket, Key=key, Body=body)
        with closing(boto3.client("glue", endpoint_url=self.settings.aws_endpoint_url)) as glue:
            for table in snapshot.tables.values():
                glue.update_table(DatabaseName=layout.DATABASE, TableInput=table)
        self._copy_database(snapshot.database, parse_dsn(self._warehouse_dsn())["dbname"])

    def _bucket(self) -> str:
        assert self.settings.lake
        return self.settings.lake.removeprefix("s3://").partition("/")[0]

    def _warehouse_dsn(self) -> str:
        assert self.settings.warehouse_dsn
        return self.settings.warehouse_dsn.get_secret_value()

    def _copy_database(self, source: str, target: str) -> None:
        with closing(psycopg2.connect(self._warehouse_dsn(), dbname="postgres")) as connection:
            connection.autocommit = True  # a database is dropped outside of any transaction
            with connection.cursor() as cursor:
                cursor.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(target)))
                cursor.execute(
                    sql.SQL("create database {} template {}").format(sql.Identifier(target), sql.Identifier(source))
                )


@dataclass(frozen=True)
class Snapshot:
    """The lake, the catalog and the warehouse at one time."""

    bodies: dict[str, bytes]
    tables: dict[str, Any]
    database: str


_TABLE_INPUT = ("Name", "Description", "StorageDescriptor", "TableType", "Parameters", "PartitionKeys")
_copies: list[str] = []


def new_pipeline(
    stack: "Stack", api_url: str | None, *, songs: int = 60, spark: "SparkSession | None" = None, **overrides: object
) -> Pipeline:
    """An empty lake and warehouse, and a catalogue of made-up songs."""
    settings = stack.reset(**{"api_url": api_url, "http_budget": 2.0, "http_timeout": 10.0, **overrides})
    pipeline = Pipeline(stack, settings, spark)
    if songs:
        pipeline.catalogue.run("load", "--rows", songs)
    return pipeline


def money(amounts: dict[str, str]) -> dict[str, Decimal]:
    """The simulator's sums."""
    return {currency: Decimal(amount) for currency, amount in amounts.items()}


def assert_gold_equals_sales(pipeline: Pipeline, simulator: "Simulator", days: Days) -> None:
    """Gold is what the shop says it sold on these days: per currency, artist and country, to the cent."""
    asked = interval(days)
    truth = simulator.truth(asked.start, asked.end)
    assert pipeline.revenue() == money(truth["revenue"])
    gold = pipeline.gold()
    assert len(gold["fact_session"]) == truth["items"]
    artists: dict[tuple[Any, ...], Decimal] = {}
    for year, artist, _, currency, _, total in gold["sales_per_artist_vw"]:
        artists[year, artist, currency] = artists.get((year, artist, currency), Decimal(0)) + total
    assert artists == {
        (row["session_year"], row["artist_id"], row["currency"]): Decimal(row["total_sales"])
        for row in truth["sales_per_artist"]
    }
    countries = {row[:4]: row[-1] for row in gold["sales_per_country_vw"]}
    assert countries == {
        (row["session_month"], row["session_year"], row["country_code"] or "unknown", row["currency"]): Decimal(
            row["total_sales"]
        )
        for row in truth["sales_per_country"]
    }


def assert_gold_equal(first: Gold, second: Gold, context: object = "") -> None:
    """Two golds are the same, row for row; names the first table that is not."""
    for name, rows in first.items():
        missing, surplus = rows - second[name], second[name] - rows
        assert (missing, surplus) == (set(), set()), f"{name} {context}"
