import pytest
from ministack.core.responses import AccountRegionScopedDict
from ministack.services import glue

from deftunes.embedded.aws_server import changed_service, end_cut_off_runs


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
        (scope("POST", "/", "AmazonEC2ContainerServiceV20141113.RunTask"), "ecs"),
        (scope("POST", "/", "AmazonEC2ContainerServiceV20141113.DescribeTasks"), None),
        (scope("POST", "/", "Logs_20140328.CreateLogGroup"), "cloudwatch_logs"),
        (scope("POST", "/", "Logs_20140328.GetLogEvents"), None),
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


def test_a_job_run_that_a_stop_cut_off_has_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = AccountRegionScopedDict()
    runs["transform"] = [{"JobRunState": state} for state in ("SUCCEEDED", "STARTING", "RUNNING", "STOPPED")]
    monkeypatch.setattr(glue, "_job_runs", runs)

    end_cut_off_runs()

    assert [run["JobRunState"] for run in runs["transform"]] == ["SUCCEEDED", "FAILED", "FAILED", "STOPPED"]
    assert "stopped while this ran" in runs["transform"][1]["ErrorMessage"]
