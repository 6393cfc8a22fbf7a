"""AWS's own errors as the platform's: who has to act, and that nothing is hidden."""

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, InvalidRegionError, NoCredentialsError
from hypothesis import given, settings
from hypothesis import strategies as st

from deftunes.adapters.failures import TRANSIENT_CODES, TRANSIENT_STATUSES, aws_failures
from deftunes.core.errors import DeftunesError, RefusedError


def answer(code: str, status: int) -> ClientError:
    return ClientError({"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, "GetTable")  # type: ignore[typeddict-item]


def arrow(name: str) -> OSError:
    return OSError(f"When reading information for key 'x' in bucket 'b': AWS Error {name} during HeadObject operation")


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (EndpointConnectionError(endpoint_url="http://127.0.0.1:1/"), 75, "AWS did not answer"),
        (answer("InternalServiceException", 500), 75, "AWS failed on GetTable: InternalServiceException"),
        (answer("ThrottlingException", 400), 75, "AWS failed on GetTable: ThrottlingException"),
        (answer("AccessDeniedException", 400), 1, "AWS refused GetTable: AccessDeniedException"),
        (NoCredentialsError(), 1, "AWS was not asked for a call: NoCredentialsError: Unable to locate credentials"),
        (InvalidRegionError(region_name="x y"), 1, "AWS was not asked"),
        (arrow("NETWORK_CONNECTION"), 75, "NETWORK_CONNECTION"),
        (arrow("SLOW_DOWN"), 75, "SLOW_DOWN"),
        (arrow("UNKNOWN (HTTP status 503)"), 75, "HTTP status 503"),
        (arrow("UNKNOWN (HTTP status 400)"), 1, "HTTP status 400"),
        (arrow("ACCESS_DENIED"), 1, "S3 refused: .*ACCESS_DENIED"),
        (arrow("NO_SUCH_BUCKET"), 1, "NO_SUCH_BUCKET"),
    ],
)
def test_an_error_of_aws_becomes_one_that_says_who_has_to_act(error: Exception, code: int, message: str) -> None:
    with pytest.raises(DeftunesError, match=message) as failed, aws_failures():
        raise error
    assert failed.value.exit_code == code
    assert failed.value.__cause__ is error


@settings(max_examples=300)
@given(st.from_regex(r"[A-Za-z0-9.]{0,40}", fullmatch=True), st.integers(100, 599))
def test_only_what_the_table_names_is_worth_another_try(code: str, status: int) -> None:
    with pytest.raises(DeftunesError) as failed, aws_failures():
        raise answer(code, status)
    passes = code in TRANSIENT_CODES or status in TRANSIENT_STATUSES
    assert failed.value.exit_code == (75 if passes else 1)
    assert code in str(failed.value)


@pytest.mark.parametrize("error", [RefusedError("ours"), FileNotFoundError("a file"), ZeroDivisionError()])
def test_any_other_error_passes_through(error: Exception) -> None:
    with pytest.raises(type(error)) as failed, aws_failures():
        raise error
    assert failed.value is error
