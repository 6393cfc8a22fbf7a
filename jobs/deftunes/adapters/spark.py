"""The Spark session: Iceberg over the Glue catalog, configured in the builder so that Glue, ECS and a laptop run alike.

Importing this module imports pyspark, which starts no JVM; `open_spark` does.
"""

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from py4j.protocol import Py4JError, Py4JNetworkError
from pyspark.errors import PySparkException, PythonException
from pyspark.sql import SparkSession

from deftunes.core import layout
from deftunes.core.errors import DeftunesError, RetriableError
from deftunes.core.settings import export_spark_runtime

if TYPE_CHECKING:
    from deftunes.core.settings import Settings

CATALOG = "lakehouse"
# How the JVM's clients of S3 and Glue say that nobody answered.
_UNREACHABLE = (
    "Unable to execute HTTP request",
    "ConnectException",
    "SocketException",
    "SocketTimeoutException",
    "Status Code: 5",
)
# How Iceberg says that another commit came first, however deep in what wraps it.
_COMMIT_LOST = (
    "CommitFailedException",
    "Missing required files to delete",
    "Cannot commit, found new delete",
    "Found conflicting",
    "Found new conflicting",
)
_LOG4J = Path(__file__).with_name("log4j2.properties")


def spark_name(table: str) -> str:
    """A silver table's name in Spark SQL."""
    return f"{CATALOG}.{layout.DATABASE}.{table}"


def open_spark(settings: "Settings", jars: Sequence[Path], java_home: Path | None) -> SparkSession:
    """Start the one session of this process (or take the running one).

    `jars` and `java_home` are empty where Glue brings its own; it also sizes itself then.
    """
    export_spark_runtime(java_home)
    options = {**_catalog(settings), **_session(settings), **(_one_machine(settings, jars) if jars else {})}
    builder = SparkSession.builder.appName("deftunes")
    for name, value in options.items():
        if value is not None:
            builder = builder.config(name, value)
    return builder.getOrCreate()


@contextmanager
def spark_failures(settings: "Settings") -> Iterator[None]:
    """Translate Spark's errors: one sentence for what it says in a hundred lines.

    Raises:
        DeftunesError: Spark refused or failed; names the cause, and the memory setting where the JVM ran out of it.
        RetriableError: S3 or Glue did not answer, or another run's commit came first.
    """
    try:
        yield
    except (Py4JError, PySparkException, ConnectionError) as error:
        message = str(error)
        if isinstance(error, Py4JNetworkError | ConnectionError) or "OutOfMemoryError" in message:
            raise DeftunesError(
                "Spark's JVM ended, most likely for want of memory: DEFTUNES_SPARK_MEMORY is "
                f"{settings.spark_memory}. Nothing was published; run it again with more of it, or a shorter "
                "interval: deftunes backfill cuts a long one"
            ) from error
        away = next((line for line in message.splitlines() if any(words in line for words in _UNREACHABLE)), None)
        if away:
            raise RetriableError(
                f"AWS did not answer Spark: {away.strip()[:500]}. Nothing was published; run the command again"
            ) from error
        cause = _cause(error)[:500]
        if is_lost_commit(error):
            raise RetriableError(
                f"another run changed the table meanwhile: {cause}. Nothing was published; run the command again"
            ) from error
        raise DeftunesError(f"Spark failed: {cause}. Nothing was published; run the command again") from error


def is_lost_commit(error: Exception) -> bool:
    """Whether Iceberg refused a commit because another one came first."""
    return any(words in str(error) for words in _COMMIT_LOST)


def _cause(error: Exception) -> str:
    """The line that says what happened; the first one is Py4J's or PySpark's own and never does."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    if isinstance(error, PythonException):
        return _cause_in_worker(lines)
    thrown = (line.removeprefix(": ") for line in lines if line.startswith(": "))
    return next(thrown, lines[0].strip() if lines else repr(error))


def _cause_in_worker(lines: list[str]) -> str:
    """What was raised and where, from a Python traceback; not its message, which may quote a record."""
    where = max((number for number, line in enumerate(lines) if line.startswith("  File ")), default=0)
    raised = next((line for line in lines[where:] if not line.startswith(" ")), "an error")
    return f"{raised.partition(':')[0]} in a Python worker, {lines[where].strip()}"


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
        "spark.sql.ansi.enabled": "false",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
    }


def _one_machine(settings: "Settings", jars: Sequence[Path]) -> dict[str, str | None]:
    """A short-lived JVM on a few cores: start-up and planning are most of a day's run, so both are kept small."""
    return {
        "spark.master": settings.spark_master or "local[*]",
        "spark.driver.memory": settings.spark_memory,
        "spark.jars": ",".join(map(str, jars)),
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        # The first compiler tier alone: the second costs more than it wins back within minutes (docs/adr/0012).
        "spark.driver.extraJavaOptions": (
            "-XX:TieredStopAtLevel=1 -XX:+UseParallelGC -Duser.timezone=UTC "
            f"-Dlog4j2.configurationFile={_LOG4J.as_uri()}"
        ),
        # Nothing is ever kept there; the default would make a folder wherever the command is typed.
        "spark.sql.warehouse.dir": tempfile.gettempdir(),
        "spark.sql.shuffle.partitions": str(2 * (os.cpu_count() or 1)),
        # Adaptive execution plans again after every stage, which is for clusters and unknown sizes.
        "spark.sql.adaptive.enabled": "false",
    }
