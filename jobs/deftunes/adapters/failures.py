"""Errors of AWS's services and libraries in our words: which of them are transient, and what the service said.

One table for S3, Glue and their clients: boto3, PyIceberg (which passes on boto3's and PyArrow's) and the JVM's
(`adapters.spark`). What is not known to be transient fails for good: a scheduler would repeat it for ever.
"""

import re
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from deftunes.core.errors import DeftunesError, RetriableError

if TYPE_CHECKING:
    from botocore.exceptions import BotoCoreError, ClientError

# What AWS's own clients try again (botocore/retries/standard.py) and what S3 says to try again
# (https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html).
TRANSIENT_CODES = frozenset({
    "BandwidthLimitExceeded", "ConcurrentModificationException", "ConditionalRequestConflict", "EC2ThrottledException",
    "InternalError", "InternalFailure", "InternalServiceException", "LimitExceededException", "OperationAborted",
    "OperationTimeoutException", "PriorRequestNotComplete", "ProvisionedThroughputExceededException",
    "RequestLimitExceeded", "RequestThrottled", "RequestThrottledException", "RequestTimeout",
    "RequestTimeoutException", "ServiceUnavailable", "ServiceUnavailableException", "SlowDown", "ThrottledException",
    "Throttling", "ThrottlingException", "TooManyRequestsException", "TransactionInProgressException",
})  # fmt: skip
# An answer whose code says nothing is judged by its status: botocore's list, and 429.
TRANSIENT_STATUSES = frozenset({429, 500, 502, 503, 504})
# PyArrow's S3 client (Arrow's cpp/src/arrow/filesystem/s3_internal.h) has names of its own for them.
_ARROW_TRANSIENT = frozenset({
    "INTERNAL_FAILURE", "NETWORK_CONNECTION", "REQUEST_TIMEOUT", "SERVICE_UNAVAILABLE", "SLOW_DOWN", "THROTTLING",
})  # fmt: skip
_ARROW_ERROR = re.compile(r"AWS Error ([A-Z_]+)(?: \(HTTP status (\d+)\))?")
# Of Ceph, MinIO and our own embedded S3.
DISK_FULL_CODES = frozenset({"QuotaExceeded", "XMinioStorageFull"})
DISK_FULL_STATUS = 507
_REMEDIES = {
    "AuthorizationHeaderMalformed": "Set AWS_REGION to the region of the bucket",
    "PermanentRedirect": "Set AWS_REGION to the region of the bucket",
    "301": "Set AWS_REGION to the region of the bucket",
    "ExpiredToken": "Get new credentials",
    "ExpiredTokenException": "Get new credentials",
    "RequestTimeTooSkewed": "Set the clock of this machine",
    "RequestExpired": "Set the clock of this machine",
    "NoSuchBucket": "Create the bucket, or correct DEFTUNES_LAKE",
    "InvalidBucketName": "Correct DEFTUNES_LAKE",
}
_SHOWN = 300


def is_transient(code: str, status: int = 0) -> bool:
    """Whether a later try of what AWS answered like this can succeed."""
    if status == DISK_FULL_STATUS or code in DISK_FULL_CODES:
        return False
    return code in TRANSIENT_CODES or status in TRANSIENT_STATUSES


@contextmanager
def aws_failures() -> Iterator[None]:
    """Say what a person or a scheduler does about it; our own errors pass through.

    Raises:
        DeftunesError: AWS refused the call, or cannot be reached as the settings say.
        RetriableError: AWS did not answer, or failed by itself.
    """
    try:
        yield
    except DeftunesError:
        raise
    except Exception as error:
        translated = translate(error)
        if translated is None:
            raise
        raise translated from error


def translate(error: Exception, what: str | None = None, service: str = "AWS") -> DeftunesError | None:
    """Our error for one of AWS's libraries, None for any other. `what` was asked; unset: the operation that failed."""
    from botocore.exceptions import BotoCoreError, ClientError

    if isinstance(error, ClientError):
        return _of_answer(error, what or error.operation_name, service)
    if isinstance(error, BotoCoreError):
        return _of_client(error, what or "a call", service)
    arrow = _ARROW_ERROR.search(str(error)) if isinstance(error, OSError) else None
    if arrow:
        name, status = arrow[1], int(arrow[2] or 0)
        words = _one_line(str(error))
        if name in _ARROW_TRANSIENT or is_transient("", status):
            return RetriableError(f"S3 failed: {words}. Run the command again")
        return DeftunesError(f"S3 refused: {words}. Check DEFTUNES_LAKE, its credentials and their rights")
    return None


def _of_answer(error: "ClientError", what: str, service: str) -> DeftunesError:
    code = error.response.get("Error", {}).get("Code", "") or "no code"
    message = error.response.get("Error", {}).get("Message", "")
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    said = f"{code} (HTTP {status})" + (f": {_one_line(message)}" if message and message != code else "")
    if code in DISK_FULL_CODES or status == DISK_FULL_STATUS:
        return DeftunesError(
            f"the disk of {service} is full: it failed on {what}: {said}. Free space there, then run the command again"
        )
    if is_transient(code, status):
        return RetriableError(f"{service} failed on {what}: {said}. Run the command again")
    remedy = _REMEDIES.get(code, "Check the address, the credentials and their rights")
    return DeftunesError(f"{service} refused {what}: {said}. {remedy}")


def _of_client(error: "BotoCoreError", what: str, service: str) -> DeftunesError:
    """An error of botocore itself: transient where the network failed, but not a certificate or an unknown name."""
    from botocore.exceptions import BotoCoreError, HTTPClientError, IncompleteReadError, MetadataRetrievalError
    from botocore.exceptions import ConnectionError as NoConnectionError
    from urllib3.exceptions import LocationParseError

    words = _one_line(f"{type(error).__name__}: {error}")
    causes = _causes(error)
    for cause in causes:
        # A certificate, a protocol: final. That the other side hung up: not.
        if isinstance(cause, ssl.SSLError) and not isinstance(cause, ssl.SSLEOFError | ssl.SSLZeroReturnError):
            return DeftunesError(
                f"{service} was not asked for {what}: {words}. Check AWS_ENDPOINT_URL and AWS_CA_BUNDLE"
            )
        if isinstance(cause, socket.gaierror) and cause.errno != socket.EAI_AGAIN:
            return DeftunesError(
                f"{service} was not asked for {what}: {words}: {cause.strerror}. Check AWS_ENDPOINT_URL"
            )
        if isinstance(cause, FileNotFoundError | PermissionError | LocationParseError | UnicodeError) or (
            isinstance(cause, ValueError) and not isinstance(cause, BotoCoreError)
        ):
            return DeftunesError(
                f"{service} was not asked for {what}: {words}. Check AWS_CA_BUNDLE, HTTP_PROXY, HTTPS_PROXY and "
                "AWS_ENDPOINT_URL"
            )
    if isinstance(error, NoConnectionError | HTTPClientError | IncompleteReadError | MetadataRetrievalError):
        return RetriableError(f"{service} did not answer for {what}: {words}. Run the command again")
    return DeftunesError(f"{service} was not asked for {what}: {words}. Check the AWS settings: `deftunes env`")


def _causes(error: BaseException) -> list[BaseException]:
    """An error and what it was raised for, however a library keeps that."""
    found: list[BaseException] = []
    waiting: list[object] = [error]
    while waiting:
        one = waiting.pop()
        if isinstance(one, BaseException) and one not in found:
            found.append(one)
            kept = (getattr(one, "kwargs", None) or {}).get("error")
            waiting += [one.__cause__, one.__context__, getattr(one, "reason", None), kept, *one.args]
    return found


def _one_line(text: str) -> str:
    return " ".join(text.split())[:_SHOWN].rstrip(".")
