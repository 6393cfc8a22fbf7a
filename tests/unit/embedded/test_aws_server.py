import pytest

from deftunes.embedded.aws_server import changed_service


def scope(method: str, path: str, target: str | None = None) -> dict[str, object]:
    headers = [(b"x-amz-target", target.encode())] if target else []
    return {"type": "http", "method": method, "path": path, "headers": headers}


@pytest.mark.parametrize(
    ("request_", "service"),
    [
        (scope("POST", "/", "AWSGlue.UpdateTable"), "glue"),
        (scope("POST", "/", "AWSGlue.CreateDatabase"), "glue"),
        (scope("POST", "/", "AWSGlue.BatchDeleteTable"), "glue"),
        (scope("POST", "/", "AWSGlue.GetTable"), None),
        (scope("POST", "/", "AWSGlue.BatchGetPartition"), None),
        (scope("POST", "/", "secretsmanager.PutSecretValue"), "secretsmanager"),
        (scope("POST", "/", "secretsmanager.GetSecretValue"), None),
        (scope("POST", "/", "DynamoDB_20120810.PutItem"), None),
        (scope("PUT", "/bucket"), "s3"),
        (scope("PUT", "/bucket/"), "s3"),
        (scope("DELETE", "/bucket"), "s3"),
        (scope("PUT", "/bucket/key"), None),
        (scope("DELETE", "/bucket/a/b"), None),
        (scope("POST", "/bucket"), None),
        (scope("PUT", "/"), None),
    ],
)
def test_a_call_that_changes_saved_state_names_its_service(request_: dict[str, object], service: str | None) -> None:
    assert changed_service(request_) == service
