"""Who acts on what the JVM's two clients of AWS say, in the words that they say it in. The real ones: integration."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from py4j.protocol import Py4JError

from deftunes.adapters.failures import DISK_FULL_STATUS, TRANSIENT_CODES, TRANSIENT_STATUSES
from deftunes.adapters.spark_failures import spark_failures
from deftunes.core.errors import DeftunesError
from deftunes.core.settings import Settings

BEFORE = "An error occurred while calling o71.collect.\n: "
SDK_1 = (
    "java.nio.file.AccessDeniedException: s3a://lake/x: getFileStatus: com.amazonaws.services.s3.model."
    "AmazonS3Exception: said so (Service: Amazon S3; Status Code: {status}; Error Code: {code}; Request ID: 1)"
)
SDK_2 = (
    "software.amazon.awssdk.services.s3.model.S3Exception: said so (Service: S3, Status Code: {status}, Request ID: 1)"
)


def failed(words: str) -> DeftunesError:
    with pytest.raises(DeftunesError) as failure, spark_failures(Settings()):
        raise Py4JError(f"{BEFORE}{words}\n\tat org.apache.spark.Some.thing(Some.java:1)\n")
    return failure.value


@given(
    st.sampled_from(sorted(TRANSIENT_CODES)) | st.from_regex(r"[A-Za-z]{1,30}", fullmatch=True), st.integers(400, 599)
)
@example("BandwidthLimitExceeded", DISK_FULL_STATUS)
@settings(max_examples=300)
def test_an_answer_is_judged_by_the_one_table_and_named(code: str, status: int) -> None:
    first = failed(SDK_1.format(code=code, status=status))
    second = failed(SDK_2.format(status=status))
    passes = code in TRANSIENT_CODES or status in TRANSIENT_STATUSES
    assert first.exit_code == (75 if passes and status != DISK_FULL_STATUS else 1)
    assert second.exit_code == (75 if status in TRANSIENT_STATUSES else 1)
    assert code in str(first)
    assert str(status) in str(second)
    assert all(("the disk of S3 is full" in str(said)) is (status == DISK_FULL_STATUS) for said in (first, second))


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        ("java.net.ConnectException: Connection refused", 75, "AWS did not answer Spark: .*Connection refused"),
        ("SdkClientException: Unable to execute HTTP request: Read timed out", 75, "Read timed out"),
        ("org.apache.http.NoHttpResponseException: h failed to respond", 75, "NoHttpResponseException"),
        ("Unable to execute HTTP request: PKIX path building failed", 1, "AWS was not asked: .*PKIX"),
        ("Unable to execute HTTP request: x: UnknownHostException", 1, "check AWS_ENDPOINT_URL"),
        ("SdkClientException: Unable to load credentials from any of the providers", 1, "Unable to load credentials"),
        ("java.io.IOException: No space left on device", 1, "the disk is full"),
        ("java.io.FileNotFoundException: x (Too many open files)", 1, "ulimit -n"),
        ("java.lang.OutOfMemoryError: Java heap space", 1, "DEFTUNES_SPARK_MEMORY is 2g"),
        ("org.apache.iceberg.exceptions.CommitFailedException: lost", 75, "another run changed the table"),
        ("org.apache.spark.SparkException: Could not parse Master URL: 'x'", 1, "Could not parse Master URL"),
    ],
)
def test_who_acts(words: str, code: int, told: str) -> None:
    with pytest.raises(DeftunesError, match=told) as failure, spark_failures(Settings()):
        raise Py4JError(f"{BEFORE}{words}\n\tat org.apache.spark.Some.thing(Some.java:1)\n")
    assert failure.value.exit_code == code
