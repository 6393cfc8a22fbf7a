"""AWS's own errors as the platform's: who has to act, and that nothing is hidden."""

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from deftunes.adapters.failures import aws_failures
from deftunes.core.errors import DeftunesError, RefusedError


def answer(code: str, status: int) -> ClientError:
    return ClientError({"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, "GetTable")  # type: ignore[typeddict-item]


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (EndpointConnectionError(endpoint_url="http://127.0.0.1:1/"), 75, "AWS did not answer"),
        (answer("InternalServiceException", 500), 75, "AWS failed on GetTable: InternalServiceException"),
        (answer("ThrottlingException", 400), 75, "AWS failed on GetTable: ThrottlingException"),
        (answer("AccessDeniedException", 400), 1, "AWS refused GetTable: AccessDeniedException"),
        (OSError("When reading x: AWS Error NETWORK_CONNECTION during HeadObject"), 75, "AWS did not answer"),
    ],
)
def test_an_error_of_aws_becomes_one_that_says_who_has_to_act(error: Exception, code: int, message: str) -> None:
    with pytest.raises(DeftunesError, match=message) as failed, aws_failures():
        raise error
    assert failed.value.exit_code == code
    assert failed.value.__cause__ is error


@pytest.mark.parametrize("error", [RefusedError("ours"), FileNotFoundError("a file"), ZeroDivisionError()])
def test_any_other_error_passes_through(error: Exception) -> None:
    with pytest.raises(type(error)) as failed, aws_failures():
        raise error
    assert failed.value is error
