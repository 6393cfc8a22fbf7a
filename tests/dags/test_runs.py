"""Runs of the DAGs by Airflow's own loop on a local AWS: what is asked of it, and what is made of how things end."""

import re

import pytest

from deftunes.core.settings import REPOSITORY
from support.airflow import PLATFORM, Asked

RANGE = ["--start", "2020-02-01", "--end", "2020-05-01"]
DAY = ["--start", "2020-03-01", "--end", "2020-03-02"]


def starts_of(asked: Asked, task: str) -> list[dict[str, object]]:
    family = PLATFORM["tasks"][task]["family"]
    return [dict(request) for request in asked.requests("RunTask") if request["taskDefinition"] == family]


def test_a_run_starts_each_stage_once_and_succeeds(airflow: Asked) -> None:
    run = airflow.answer["runs"]["songs"]
    assert run["state"] == "success"
    assert len(run["tasks"]) == 7
    assert all(ended == ["success", 1] for ended in run["tasks"].values())
    for task in ("extract_songs", "publish_songs", "load_songs", "model", "check_songs"):
        (request,) = starts_of(airflow, task)
        del request["clientToken"]
        command = [*PLATFORM["tasks"][task]["command"], *RANGE]
        flags = ["--accept-shrink"] if task == "extract_songs" else []
        assert request == {
            "cluster": PLATFORM["cluster"],
            "taskDefinition": PLATFORM["tasks"][task]["family"],
            "overrides": {"containerOverrides": [{"name": PLATFORM["container"], "command": [*command, *flags]}]},
            "startedBy": "deftunes",
            "launchType": "FARGATE",
            "networkConfiguration": {
                "awsvpcConfiguration": {
                    "subnets": ["subnet-1", "subnet-2"], "securityGroups": ["sg-1"], "assignPublicIp": "DISABLED"
                }
            },
        }  # fmt: skip


def test_a_run_tells_of_what_it_published(airflow: Asked) -> None:
    schemas = PLATFORM["schemas"]
    assert airflow.answer["emitted"] == [
        ["check_songs", schemas["bi_views"]], ["publish_songs", f"{schemas['transform']}.songs"]
    ]  # fmt: skip


def test_a_glue_job_is_started_by_its_name_with_the_interval_and_nothing_else(airflow: Asked) -> None:
    for stage in ("transform", "quality"):
        name = PLATFORM["glue"]["jobs"][f"{stage}_songs"]["name"]
        (request,) = [asked for asked in airflow.requests("StartJobRun") if asked["JobName"] == name]
        assert request == {"JobName": name, "Arguments": {"--start": RANGE[1], "--end": RANGE[3]}}


def test_what_a_container_logs_is_in_the_tasks_log(airflow: Asked) -> None:
    for task in ("extract_songs", "publish_songs", "load_songs", "model", "check_songs"):
        assert f'{{"logged_by": "{task}"}}' in airflow.printed
        group = PLATFORM["log_groups"][PLATFORM["tasks"][task]["log_group"]]
        streams = [a for a in airflow.requests("GetLogEvents") if a["logStreamName"].startswith(f"{task}/stage/")]
        assert streams
        assert {asked["logGroupName"] for asked in streams} == {group}


@pytest.mark.parametrize(
    ("task", "tries"),
    [
        ("extract_users", 1),  # 3: refused
        ("load_users", 1),  # 2: bad usage
        ("extract_sessions", 3),  # 75: try again
        ("load_sessions", 3),  # 137: killed
    ],
)
def test_only_what_another_try_may_mend_is_tried_again(airflow: Asked, task: str, tries: int) -> None:
    assert airflow.answer["runs"]["containers that fail"]["tasks"][task] == ["failed", tries]
    assert len(starts_of(airflow, task)) == tries


def test_a_failure_says_its_exit_code_and_what_to_do(airflow: Asked) -> None:
    assert "exit code 3: refused, and a person decides" in airflow.printed
    assert "exit code 2: the call or a setting is wrong" in airflow.printed
    for task in ("extract_users", "extract_sessions", "transform_users", "publish_users", "check_api"):
        assert len(re.findall(rf"{task} of run \S+ has failed for good", airflow.printed)) >= 1


def test_a_failed_glue_job_is_tried_again_not_for_long_and_names_its_log(airflow: Asked) -> None:
    assert airflow.answer["runs"]["glue jobs that fail"]["tasks"] == {"transform_users": ["failed", 3]}
    assert "aws logs tail /deftunes/glue/output --log-stream-names" in airflow.printed


def test_a_stopped_glue_job_is_no_success(airflow: Asked) -> None:
    assert airflow.answer["runs"]["glue jobs that are stopped"]["tasks"] == {"quality_users": ["failed", 1]}
    assert "expected the job to succeed, got STOPPED" in airflow.printed


def test_a_glue_job_that_could_not_begin_is_not_waited_for(airflow: Asked) -> None:
    assert airflow.answer["runs"]["glue jobs in error"]["tasks"] == {"transform_sessions": ["failed", 1]}
    assert "expected the job to succeed, got ERROR" in airflow.printed


def test_a_glue_job_that_runs_already_is_waited_for(airflow: Asked) -> None:
    assert airflow.answer["runs"]["glue jobs that run already"]["tasks"] == {"quality_sessions": ["success", 1]}
    name = PLATFORM["glue"]["jobs"]["quality_sessions"]["name"]
    assert [request["JobName"] for request in airflow.requests("StartJobRun")].count(name) == 3


def test_a_container_that_was_lost_is_no_success(airflow: Asked) -> None:
    assert airflow.answer["runs"]["a container that is lost"]["tasks"] == {"publish_sessions": ["failed", 2]}
    assert "expected the task to end by itself with exit code 0, got exit code None" in airflow.printed


def test_a_task_out_of_time_stops_its_container_and_is_no_success(airflow: Asked) -> None:
    assert airflow.answer["runs"]["a container that hangs"]["tasks"] == {"publish_users": ["failed", 1]}
    (stopped,) = airflow.requests("StopTask")
    assert stopped["cluster"] == PLATFORM["cluster"]


def test_half_a_range_starts_nothing_and_is_not_tried_again(airflow: Asked) -> None:
    assert airflow.answer["runs"]["half a range"]["tasks"] == {"check_api": ["failed", 1]}
    assert starts_of(airflow, "check_api") == []


def test_a_batch_job_is_submitted_with_the_stages_command(airflow_in_batch: Asked) -> None:
    ended = airflow_in_batch.answer["runs"]["in batch"]["tasks"]
    assert ended == {"extract_users": ["failed", 1], "load_users": ["failed", 1], "load_sessions": ["failed", 2]}
    submitted = airflow_in_batch.requests("submitjob")
    assert len(submitted) == 4
    for request in submitted:
        (task,) = [name for name, shape in PLATFORM["tasks"].items() if shape["family"] == request["jobDefinition"]]
        assert request == {
            "jobName": request["jobDefinition"],
            "jobQueue": "deftunes-backfill",
            "jobDefinition": PLATFORM["tasks"][task]["family"],
            "containerOverrides": {"command": [*PLATFORM["tasks"][task]["command"], *DAY]},
            "parameters": {},
            "tags": {},
        }
    assert airflow_in_batch.requests("RunTask") == []


def test_transform_and_quality_run_as_containers_where_the_settings_say(airflow_on_ecs: Asked) -> None:
    run = airflow_on_ecs.answer["runs"]["transform and quality"]
    assert run["tasks"] == {"transform_songs": ["success", 1], "quality_songs": ["success", 1]}
    for task in ("transform_songs", "quality_songs"):
        (request,) = starts_of(airflow_on_ecs, task)
        command = [*PLATFORM["tasks"][task]["command"], "--start", "2020-04-01", "--end", "2020-04-02"]
        assert request["overrides"] == {"containerOverrides": [{"name": PLATFORM["container"], "command": command}]}
        assert f'{{"logged_by": "{task}"}}' in airflow_on_ecs.printed
    assert airflow_on_ecs.requests("StartJobRun") == []


def test_a_refusal_of_quality_as_a_container_is_not_tried_again(airflow_on_ecs: Asked) -> None:
    ended = airflow_on_ecs.answer["runs"]["containers that fail"]["tasks"]
    assert ended == {"transform_users": ["failed", 3], "quality_sessions": ["failed", 1]}  # exit codes 75 and 3


def test_airflow_asks_aws_for_nothing_that_terraform_does_not_grant(airflow: Asked, airflow_in_batch: Asked) -> None:
    text = (REPOSITORY / "terraform/modules/orchestration/main.tf").read_text("utf-8")
    granted = {action.lower() for action in re.findall(r'"(?:ecs|glue|batch|logs):(\w+)"', text)}
    asked = {call["operation"].lower() for call in [*airflow.calls, *airflow_in_batch.calls]}
    assert {"runtask", "startjobrun", "submitjob", "getlogevents", "stoptask"} <= asked
    assert asked - granted == set()
