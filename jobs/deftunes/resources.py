"""What one process works with: adapters, built from the settings when a stage first needs them.

This is the wiring below the stages; it decides nothing. Heavy libraries are imported by the properties that need them,
so that `deftunes --help` and `query` stay quick and an image needs only what its stage imports.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cached_property
from importlib.util import find_spec
from typing import TYPE_CHECKING, TypeVar

from deftunes.core.entities import Entity
from deftunes.core.errors import BadUsageError
from deftunes.core.rules import Ruleset, load_ruleset

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog
    from pyspark.sql import SparkSession

    from deftunes.adapters.dbt import Project, Run
    from deftunes.adapters.dbt_child import DbtChild
    from deftunes.adapters.http import PurchaseApi
    from deftunes.adapters.lake import Lake
    from deftunes.adapters.songs_source import SongsSource
    from deftunes.adapters.warehouse import Warehouse
    from deftunes.core.engine import Engine
    from deftunes.core.settings import Settings
    from deftunes.state.landings import Landings
    from deftunes.state.manifest import Manifest

    # Opens the engine for a batch of so many records.
    OpenEngine = Callable[[int], AbstractContextManager[Engine]]

T = TypeVar("T")

# Records of a batch, as receipts count them, up to which `auto` takes the embedded engine where Spark is installed, too
# (docs/adr/0030).
EMBEDDED_RECORDS = 1_000_000


class Resources:
    """Adapters over resolved settings: every address is filled in."""

    def __init__(self, settings: "Settings") -> None:
        self.settings = settings
        # The stage and entity that this process works on, for whoever records how it ended.
        self.at: tuple[str, str] | None = None
        self._dbt: DbtChild | None = None

    def begin(self, stage: str, entity: Entity | None) -> None:
        """Say what this process works on from here on."""
        self.at = stage, str(entity or "all")

    @cached_property
    def lake(self) -> "Lake":
        """The lake."""
        from deftunes.adapters.lake import open_lake

        _expect(self.settings.lake, "DEFTUNES_LAKE")
        return open_lake(self.settings)

    @cached_property
    def catalog(self) -> "Catalog":
        """Silver's catalog."""
        from deftunes.adapters.catalog import open_catalog

        return open_catalog(self.settings)

    @cached_property
    def warehouse(self) -> "Warehouse":
        """The warehouse; connected when it is asked."""
        from deftunes.adapters.warehouse_drivers import open_warehouse

        dsn = _expect(self.settings.warehouse_dsn, "DEFTUNES_WAREHOUSE_DSN")
        return open_warehouse(dsn.get_secret_value(), lock_timeout=self.settings.lock_timeout)

    @cached_property
    def spark(self) -> "SparkSession":
        """The one Spark session of this process; the first use starts a JVM."""
        _expect(self.settings.lake, "DEFTUNES_LAKE")
        from deftunes.adapters.jars import classpath, repository
        from deftunes.adapters.java import java_home
        from deftunes.adapters.spark import open_spark

        if self.settings.spark_provided:
            return open_spark(self.settings, (), None)
        # The second is for a user whose home holds none and cannot be written.
        jars = classpath(repository(), repository(self.settings.home.absolute()))
        return open_spark(self.settings, jars, java_home(self.settings.java_home))

    @cached_property
    def api(self) -> "PurchaseApi":
        """The Purchase API."""
        from deftunes.adapters.http import PurchaseApi
        from deftunes.adapters.http_pages import PageBounds

        settings = self.settings
        url = _expect(settings.api_url, "DEFTUNES_API_URL")
        token = settings.api_token.get_secret_value() if settings.api_token else None
        return PurchaseApi(
            url,
            token,
            budget=settings.http_budget,
            timeout=settings.http_timeout,
            dated=settings.http_date,
            pages=PageBounds(pages=settings.http_max_pages, empty=settings.http_max_empty_pages),
        )

    @cached_property
    def songs_source(self) -> "SongsSource":
        """The catalogue's PostgreSQL."""
        from deftunes.adapters.songs_source import SongsSource

        return SongsSource(_expect(self.settings.songs_dsn, "DEFTUNES_SONGS_DSN").get_secret_value())

    def start_dbt(self, project: "Project") -> None:
        """Start dbt beside this process, so that it is ready when a build is wanted; once is enough."""
        from deftunes.adapters.dbt_child import DbtChild

        self._dbt = self._dbt or DbtChild(project)

    @property
    def run_dbt(self) -> "Run | None":
        """Where dbt runs; None: in this process."""
        return self._dbt.run if self._dbt else None

    def landings(self, entity: Entity) -> "Landings":
        """The landings of an entity."""
        from deftunes.state.landings import Landings

        return Landings(self.lake, entity)

    def published_manifest(self, entity: Entity) -> "Manifest | None":
        """The manifest of the newest batch that `main` holds."""
        from deftunes.adapters.catalog import Refs, silver_table
        from deftunes.state.manifest import published_manifest

        return published_manifest(self.lake, Refs(silver_table(self.catalog, entity)), entity)

    def rules(self, entity: Entity) -> Ruleset:
        """The rules of an entity with today's thresholds."""
        # 2, 2.0 and 2.00 are one threshold, and DQDL knows no exponents.
        return load_ruleset(entity, max_price=f"{self.settings.max_price.normalize():f}")

    @contextmanager
    def open_engine(self, records: int) -> "Iterator[Engine]":
        """The engine for a batch of so many records, while it is worked with.

        Raises:
            DeftunesError: the engine failed, in our words; BadUsageError: Spark is not installed.
        """
        if self._takes_spark(records):
            from deftunes.adapters.engine_spark import SparkEngine
            from deftunes.adapters.spark_failures import spark_failures

            with spark_failures(self.settings):
                spark = SparkEngine(self.spark, self.lake, self.catalog)
                try:
                    yield spark
                finally:
                    spark.close()
        else:
            from deftunes.adapters.engine_duckdb import open_duckdb

            with open_duckdb(self.settings, self.lake, self.catalog) as embedded:
                yield embedded

    def _takes_spark(self, records: int) -> bool:
        settings = self.settings
        installed = find_spec("pyspark") is not None
        if settings.engine == "auto":
            return settings.spark_provided or (installed and records > EMBEDDED_RECORDS)
        if settings.engine == "spark" and not installed:
            raise BadUsageError(
                "expected Spark for DEFTUNES_ENGINE=spark, but it is not installed here: `make spark` adds it, and the "
                "images cli and glue have it. Or set DEFTUNES_ENGINE=embedded"
            )
        return settings.engine == "spark"

    def close(self) -> None:
        """End what this process holds."""
        if "spark" in self.__dict__:
            self.spark.stop()
        if "api" in self.__dict__:
            self.api.close()
        if self._dbt:
            self._dbt.close()


def _expect(value: T | None, variable: str) -> T:
    """An address that this process needs: where nothing may be embedded, leaving it unset is a mistake."""
    if value is None:
        raise BadUsageError(
            f"expected {variable} to be set, got nothing, and DEFTUNES_EMBEDDED says to start nothing instead. Set it; "
            "`deftunes env` lists every setting"
        )
    return value
