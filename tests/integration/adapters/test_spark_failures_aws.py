"""What S3 answers to the JVM, in our words: the two clients of a run, S3A for landings and S3FileIO for silver."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from deftunes.adapters.spark import CATALOG
from deftunes.adapters.spark_failures import spark_failures
from deftunes.core import layout
from deftunes.core.errors import DeftunesError
from support.faulty_s3 import FaultyS3

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from deftunes.core.settings import Settings
    from support.stack import Stack

FINAL = [
    ("AccessDenied", 403), ("AllAccessDisabled", 403), ("AuthorizationHeaderMalformed", 400), ("ExpiredToken", 400),
    ("InvalidAccessKeyId", 403), ("NoSuchBucket", 404), ("RequestTimeTooSkewed", 403), ("SignatureDoesNotMatch", 403),
    ("SomethingNew", 418), ("XMinioStorageFull", 507),
]  # fmt: skip
TABLE = f"{layout.DATABASE}.probe"


@pytest.fixture(scope="module")
def s3() -> Iterator[FaultyS3]:
    with FaultyS3() as server:
        yield server


@pytest.fixture
def landing(spark: "SparkSession", s3: FaultyS3) -> Callable[[], object]:
    """Read a landing; few tries, for time's sake."""
    bucket = "fs.s3a.bucket.faulty."
    for name, value in {
        "endpoint": s3.url,
        "retry.limit": "1",
        "attempts.maximum": "1",
        "retry.interval": "1ms",
    }.items():
        spark._jsc.hadoopConfiguration().set(bucket + name, value)
    return lambda: spark.read.text("s3a://faulty/landing/one").collect()


@pytest.fixture
def silver(spark: "SparkSession", settings: "Settings", s3: FaultyS3) -> Callable[[], object]:
    """Read a table whose manifests are on the faulty S3; what reads the metadata tries for minutes."""
    spark.sql(f"create table {CATALOG}.{TABLE} (a int) using iceberg")
    spark.sql(f"insert into {CATALOG}.{TABLE} values (1)")
    s3.behind(settings.aws_endpoint_url_s3)
    ours = f"spark.sql.catalog.{CATALOG}"
    for name, value in spark.sparkContext.getConf().getAll():
        if name.startswith(ours):
            spark.conf.set(name.replace(ours, "spark.sql.catalog.faulty"), value)
    spark.conf.set("spark.sql.catalog.faulty.s3.endpoint", s3.url)
    spark.conf.set("spark.sql.catalog.faulty.s3.retry.num-retries", "0")
    return lambda: spark.sql(f"select * from faulty.{TABLE}").collect()


def failed(stack: "Stack", act: Callable[[], object]) -> DeftunesError:
    with pytest.raises(DeftunesError) as failure, spark_failures(stack.settings):
        act()
    return failure.value


@pytest.mark.parametrize(("code", "status"), FINAL)
def test_what_is_not_known_to_pass_is_final(
    stack: "Stack", s3: FaultyS3, landing: Callable[[], object], silver: Callable[[], object], code: str, status: int
) -> None:
    s3.fail(code, status, when=lambda _, path: "metadata.json" not in path)
    for read in (landing, silver):
        error = failed(stack, read)
        assert error.exit_code == 1, str(error)
        assert code in str(error) or str(status) in str(error), str(error)
