"""The Spark session: Iceberg over the Glue catalog, configured in the builder so that Glue, ECS and a laptop run alike.

Importing this module imports pyspark, which starts no JVM; `open_spark` does.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from pyspark.sql import SparkSession

from deftunes.config import export_spark_runtime

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deftunes.config import Settings

CATALOG = "lakehouse"


def open_spark(settings: "Settings", jars: "Sequence[Path]", java_home: Path | None) -> SparkSession:
    """Start the one session of this process (or take the running one).

    `jars` and `java_home` are empty where the image or Glue brings its own.
    """
    export_spark_runtime(java_home)
    warehouse = f"{settings.lake}/transform"
    catalog = f"spark.sql.catalog.{CATALOG}"
    options: dict[str, str | None] = {
        "spark.sql.extensions": "org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions",
        catalog: "org.apache.iceberg.spark.SparkCatalog",
        f"{catalog}.catalog-impl": "org.apache.iceberg.aws.glue.GlueCatalog",
        f"{catalog}.io-impl": "org.apache.iceberg.aws.s3.S3FileIO",
        f"{catalog}.warehouse": warehouse,
        f"{catalog}.client.region": settings.aws_region,
        f"{catalog}.glue.endpoint": settings.aws_endpoint_url,
        f"{catalog}.s3.endpoint": settings.aws_endpoint_url_s3,
        f"{catalog}.s3.path-style-access": "true" if settings.aws_endpoint_url_s3 else None,
        # A table is read at its newest state: another process may have published since this session began.
        f"{catalog}.cache-enabled": "false",
        "spark.hadoop.fs.s3a.endpoint": settings.aws_endpoint_url_s3,
        "spark.hadoop.fs.s3a.path.style.access": "true" if settings.aws_endpoint_url_s3 else None,
        "spark.hadoop.fs.s3a.connection.ssl.enabled": str(
            not (settings.aws_endpoint_url_s3 or "").startswith("http://")
        ).lower(),
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.ansi.enabled": "false",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.sql.shuffle.partitions": str(4 * (os.cpu_count() or 1)),
        "spark.sql.adaptive.coalescePartitions.parallelismFirst": "false",
        "spark.driver.memory": settings.spark_memory,
        "spark.jars": ",".join(map(str, jars)) or None,
        "spark.driver.extraJavaOptions": "-XX:+UseParallelGC -XX:TieredStopAtLevel=4 -Duser.timezone=UTC",
        "spark.driver.bindAddress": "127.0.0.1" if jars else None,
        "spark.driver.host": "127.0.0.1" if jars else None,
    }
    builder = SparkSession.builder.appName("deftunes")
    if settings.spark_master or jars:
        builder = builder.master(settings.spark_master or "local[*]")
    for name, value in options.items():
        if value is not None:
            builder = builder.config(name, value)
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    return session
