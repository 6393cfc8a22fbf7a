"""AWS's own errors in our words: who acts, and that nothing is hidden."""

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from deftunes.adapters.failures import aws_failures
from deftunes.core.errors import DeftunesError, RefusedError


def answer(code: str, status: int) -> ClientError:
    return ClientError({"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, "GetTable")  # type: ignore[typeddict-item]


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (EndpointConnectionError(endpoint_url="http://127.0.0.1:1/"), 75, "AWS did not answer"),
        (answer("InternalServiceException", 500), 75, "AWS failed on GetTable: InternalServiceException"),
        (answer("ThrottlingException", 400), 75, "AWS failed on GetTable: ThrottlingException"),
        (answer("AccessDeniedException", 400), 1, "AWS refused GetTable: AccessDeniedException"),
        (OSError("When reading x: AWS Error NETWORK_CONNECTION during HeadObject"), 75, "AWS did not answer"),
    ],
)
def test_who_acts(error: Exception, code: int, told: str) -> None:
    with pytest.raises(DeftunesError, match=told) as failed, aws_failures():
        raise error
    assert failed.value.exit_code == code
    assert failed.value.__cause__ is error


@pytest.mark.parametrize("error", [RefusedError("ours"), FileNotFoundError("a file"), ZeroDivisionError()])
def test_all_else_passes_through(error: Exception) -> None:
    with pytest.raises(type(error)) as failed, aws_failures():
        raise error
    assert failed.value is error
