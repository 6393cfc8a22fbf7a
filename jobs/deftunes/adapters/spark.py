"""The Spark session: Iceberg over the Glue catalog, configured in the builder so that Glue, ECS and a laptop run alike.

Importing this module imports pyspark, which starts no JVM; `open_spark` does.
"""

import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pyspark import SparkConf, SparkContext
from pyspark.errors import PySparkRuntimeError
from pyspark.java_gateway import launch_gateway
from pyspark.sql import SparkSession

from deftunes.adapters.java import start_problem
from deftunes.adapters.no_pandas import show_pandas
from deftunes.core import layout
from deftunes.core.errors import DeftunesError
from deftunes.core.settings import SPARK_FILES, USER_WITHOUT_NAME, expect_open_files, export_spark_runtime, user_name

if TYPE_CHECKING:
    from deftunes.core.settings import Settings

CATALOG = "lakehouse"
_LOG4J = Path(__file__).with_name("log4j2.properties")


def spark_name(table: str) -> str:
    """A silver table's name in Spark SQL."""
    return f"{CATALOG}.{layout.DATABASE}.{table}"


def open_spark(settings: "Settings", jars: Sequence[Path], java_home: Path | None) -> SparkSession:
    """Start the one session of this process (or take the running one).

    `jars` and `java_home` are empty where Glue brings its own; it also sizes itself then.

    Raises:
        DeftunesError: the JVM does not start; says what Java says, or what the machine lacks.
    """
    show_pandas()
    expect_open_files(SPARK_FILES)
    export_spark_runtime(java_home)
    options = {**_catalog(settings), **_session(settings), **(_one_machine(settings, jars) if jars else {})}
    given = {name: value for name, value in options.items() if value is not None}
    builder = SparkSession.builder.appName("deftunes")
    for name, value in given.items():
        builder = builder.config(name, value)
    try:
        _name_user(given)
        return builder.getOrCreate()
    except PySparkRuntimeError as error:
        if error.getErrorClass() != "JAVA_GATEWAY_EXITED":
            raise
        problem = start_problem(java_home, settings.spark_memory) or "its own words are above"
        raise DeftunesError(
            f"Spark's JVM cannot start: {problem}. DEFTUNES_SPARK_MEMORY is {settings.spark_memory}, JAVA_HOME "
            f"{java_home or 'of the image'}; `deftunes doctor` checks both"
        ) from error


def temporary_folder(settings: "Settings") -> Path:
    """A folder for temporary files from which the JVM may load its native libraries: not so where a mount forbids it.

    Raises:
        DeftunesError: there is none.
    """
    own = settings.home.expanduser().absolute() / "tmp"
    for folder in (Path(tempfile.gettempdir()), own):
        if folder == own:
            own.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not os.statvfs(folder).f_flag & os.ST_NOEXEC:
            return folder
    raise DeftunesError(
        f"expected a temporary folder that programs may run from, got {tempfile.gettempdir()} and {own}, both mounted "
        "noexec. Set TMPDIR or DEFTUNES_HOME to a folder on another file system"
    )


def _name_user(options: Mapping[str, str]) -> None:
    """Name the user of this process to Hadoop where the system knows none: it asks the system, and fails."""
    if user_name() is None and SparkContext._jvm is None:
        conf = SparkConf(loadDefaults=False)
        conf.setAll(list(options.items()))
        SparkContext._ensure_initialized(gateway=launch_gateway(conf))  # type: ignore[no-untyped-call]
        assert SparkContext._jvm is not None
        users = SparkContext._jvm.org.apache.hadoop.security.UserGroupInformation
        users.setLoginUser(users.createRemoteUser(USER_WITHOUT_NAME))


def _catalog(settings: "Settings") -> dict[str, str | None]:
    catalog = f"spark.sql.catalog.{CATALOG}"
    endpoint = settings.aws_endpoint_url_s3
    key = settings.lake_access_key_id.get_secret_value() if settings.lake_access_key_id else None
    secret = settings.lake_secret_access_key.get_secret_value() if settings.lake_secret_access_key else None
    return {
        "spark.sql.extensions": "org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions",
        catalog: "org.apache.iceberg.spark.SparkCatalog",
        f"{catalog}.catalog-impl": "org.apache.iceberg.aws.glue.GlueCatalog",
        f"{catalog}.io-impl": "org.apache.iceberg.aws.s3.S3FileIO",
        f"{catalog}.warehouse": f"{settings.lake}/{layout.WAREHOUSE_PREFIX}",
        f"{catalog}.client.region": settings.aws_region,
        f"{catalog}.glue.endpoint": settings.aws_endpoint_url,
        f"{catalog}.s3.endpoint": endpoint,
        f"{catalog}.s3.path-style-access": "true" if endpoint else None,
        f"{catalog}.s3.access-key-id": key,
        f"{catalog}.s3.secret-access-key": secret,
        # A table is read at its newest state: another process may have published since this session began.
        f"{catalog}.cache-enabled": "false",
        # Landings are read by Hadoop's own S3 client.
        "spark.hadoop.fs.s3a.endpoint": endpoint,
        "spark.hadoop.fs.s3a.endpoint.region": settings.aws_region,
        "spark.hadoop.fs.s3a.path.style.access": "true" if endpoint else None,
        "spark.hadoop.fs.s3a.connection.ssl.enabled": "false" if endpoint and endpoint.startswith("http:") else None,
        "spark.hadoop.fs.s3a.access.key": key,
        "spark.hadoop.fs.s3a.secret.key": secret,
    }


def _session(settings: "Settings") -> dict[str, str | None]:
    return {
        "spark.master": settings.spark_master,
        "spark.sql.session.timeZone": "UTC",
        # Rows on their way to Python, by count only: a thousand of a megabyte each still fit.
        "spark.sql.execution.arrow.maxRecordsPerBatch": "1000",
        "spark.sql.ansi.enabled": "false",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
    }


def _one_machine(settings: "Settings", jars: Sequence[Path]) -> dict[str, str | None]:
    """A short-lived JVM on a few cores: start-up and planning are most of a day's run, so both are kept small."""
    return {
        "spark.master": settings.spark_master or "local[*]",
        "spark.driver.memory": settings.spark_memory,
        # `local:` needs no file system of Hadoop's, which asks for the user's name before we can give one.
        "spark.jars": ",".join(jar.absolute().as_uri().replace("file://", "local:") for jar in jars),
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        # The first compiler tier alone: the second costs more than it wins back within minutes (docs/adr/0012).
        "spark.driver.extraJavaOptions": (
            "-XX:TieredStopAtLevel=1 -XX:+UseParallelGC -Duser.timezone=UTC "
            f"-Dlog4j2.configurationFile={_LOG4J.as_uri()} "
            f'"-Djava.io.tmpdir={temporary_folder(settings)}" '
            # Java asks the system for it, which knows none for a user without a name.
            f'"-Duser.home={Path.home()}"'
        ),
        # Nothing is ever kept there; the default would make a folder wherever the command is typed.
        "spark.sql.warehouse.dir": tempfile.gettempdir(),
        "spark.sql.shuffle.partitions": str(2 * (os.cpu_count() or 1)),
        # Adaptive execution plans again after every stage, which is for clusters and unknown sizes.
        "spark.sql.adaptive.enabled": "false",
    }
