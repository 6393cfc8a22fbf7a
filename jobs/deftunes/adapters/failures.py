"""Errors of AWS's own libraries, translated into ours: PyIceberg passes on what Glue and S3 raise."""

from collections.abc import Iterator
from contextlib import contextmanager

from deftunes.core.errors import DeftunesError, RetriableError

_SERVER_ERROR = 500
_BUSY = {"ThrottlingException", "Throttling", "SlowDown", "RequestLimitExceeded", "TooManyRequestsException"}


@contextmanager
def aws_failures() -> Iterator[None]:
    """Say what a person or a scheduler does about it; our own errors pass through.

    Raises:
        DeftunesError: AWS refused the call: most likely for want of rights.
        RetriableError: AWS did not answer, or failed by itself.
    """
    try:
        yield
    except DeftunesError:
        raise
    except Exception as error:
        translated = _translate(error)
        if translated is None:
            raise
        raise translated from error


def _translate(error: Exception) -> DeftunesError | None:
    from botocore.exceptions import BotoCoreError, ClientError

    if isinstance(error, ClientError):
        code = error.response.get("Error", {}).get("Code", "")
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if status >= _SERVER_ERROR or code in _BUSY:
            return RetriableError(
                f"AWS failed on {error.operation_name}: {code}. Nothing was published; run the command again"
            )
        return DeftunesError(f"AWS refused {error.operation_name}: {code}. Check the credentials and their rights")
    # PyArrow's own S3 client says so in words only.
    if isinstance(error, BotoCoreError) or (isinstance(error, OSError) and "AWS Error" in str(error)):
        return RetriableError(f"AWS did not answer: {error}. Nothing was published; run the command again")
    return None
