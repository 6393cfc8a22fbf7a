from datetime import UTC, datetime, timedelta

import pytest
from ministack.core.responses import AccountRegionScopedDict
from ministack.services import ecs, glue

from deftunes.embedded.aws_server import changed_service, expire_stopped_tasks, fail_interrupted_runs, is_from_browser


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


@pytest.mark.parametrize("header", [b"origin", b"user-agent"])
def test_a_call_from_a_web_page_is_known_by_its_origin(header: bytes) -> None:
    assert is_from_browser({"type": "http", "headers": [(header, b"https://example.com")]}) is (header == b"origin")


@pytest.fixture
def tasks(monkeypatch: pytest.MonkeyPatch) -> AccountRegionScopedDict:
    held = AccountRegionScopedDict()
    monkeypatch.setattr(ecs, "_tasks", held)
    return held


def test_a_task_that_a_stop_cut_off_was_killed(tasks: AccountRegionScopedDict) -> None:
    # As MiniStack brings it back: stopped, and its container as it was when the state was saved.
    tasks["cut off"] = {"stoppedAt": None, "stopCode": "", "containers": [{"lastStatus": "RUNNING"}]}
    tasks["done"] = {"stoppedAt": ecs._iso(), "containers": [{"lastStatus": "STOPPED", "exitCode": 0}]}
    tasks["not started"] = {"stoppedAt": ecs._iso(), "stopCode": "TaskFailedToStart", "containers": [{}]}

    fail_interrupted_runs()

    assert tasks["cut off"]["containers"] == [{"lastStatus": "STOPPED", "exitCode": 137}]
    assert "stopped while this ran" in tasks["cut off"]["stoppedReason"]
    assert tasks["done"]["containers"] == [{"lastStatus": "STOPPED", "exitCode": 0}]
    assert tasks["not started"]["stopCode"] == "TaskFailedToStart"


def test_a_task_is_kept_for_an_hour_after_its_end(tasks: AccountRegionScopedDict) -> None:
    now = datetime.now(UTC)
    for minutes in (59, 61):
        tasks[f"{minutes} minutes ago"] = {"stoppedAt": (now - timedelta(minutes=minutes)).isoformat()}
    tasks["running"] = {"stoppedAt": None}
    tasks["of today"] = {"stoppedAt": ecs._iso()}

    expire_stopped_tasks(now)

    assert set(tasks) == {"59 minutes ago", "running", "of today"}


def test_a_job_run_that_a_stop_cut_off_has_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = AccountRegionScopedDict()
    runs["transform"] = [{"JobRunState": state} for state in ("SUCCEEDED", "STARTING", "RUNNING", "STOPPED")]
    monkeypatch.setattr(glue, "_job_runs", runs)

    fail_interrupted_runs()

    assert [run["JobRunState"] for run in runs["transform"]] == ["SUCCEEDED", "FAILED", "FAILED", "STOPPED"]
    assert "stopped while this ran" in runs["transform"][1]["ErrorMessage"]
