"""MiniStack without Docker, which notes every call and ends tasks and Batch jobs as their definitions say.

    python local_aws.py PORT JOURNAL

A definition's environment variable END is the exit code of what is started from it; `never` leaves it running, `lost`
stops the task and tells nothing of its container. A Glue job's default argument --END is the state its runs end in,
--BUSY how often it refuses to start since another run is not done. What a container would have logged is one line in
the stream that ECS would have made.
"""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

from hypercorn.asyncio import serve
from hypercorn.config import Config
from ministack import app as ministack
from ministack.core.responses import error_response_json, request_scope
from ministack.services import batch, cloudwatch_logs, ecs, glue

ACCOUNT, REGION = "000000000000", "us-east-1"
Message = MutableMapping[str, Any]


def ending(definition: dict[str, Any]) -> str:
    given = {entry["name"]: entry["value"] for entry in definition.get("environment", [])}
    return str(given.get("END", "0"))


def end_tasks() -> None:
    for arn, task in list(ecs._tasks.items()):
        definition = ecs._task_defs[ecs._resolve_td_key(task["taskDefinitionArn"])]["containerDefinitions"][0]
        if task["lastStatus"] != "RUNNING" or ending(definition) == "never":
            continue
        if ending(definition) == "lost":
            task["lastStatus"] = "STOPPED"
            continue
        logs = definition["logConfiguration"]["options"]
        stream = {
            "logGroupName": logs["awslogs-group"],
            "logStreamName": f"{logs['awslogs-stream-prefix']}/{definition['name']}/{arn.rpartition('/')[2]}",
        }
        cloudwatch_logs._create_log_stream(stream)
        line = json.dumps({"logged_by": logs["awslogs-stream-prefix"]})
        cloudwatch_logs._put_log_events({**stream, "logEvents": [{"message": line}]})
        ecs._mark_task_stopped(
            arn, task, "Essential container in task exited", "EssentialContainerExited", int(ending(definition))
        )


def fail_services() -> None:
    """What a service starts and ends at once counts against its deployment, until ECS gives that up."""
    for task in list(ecs._tasks.values()):
        definition = ecs._task_defs[ecs._resolve_td_key(task["taskDefinitionArn"])]["containerDefinitions"][0]
        if not task.get("group", "").startswith("service:") or ending(definition) == "never":
            continue
        name = f"{ecs._cluster_name_from_arn(task['clusterArn'])}/{task['group'].partition(':')[2]}"
        deployment = ecs._primary_deployment(ecs._services[name])
        while deployment["rolloutState"] != "FAILED":
            # Without a container to look at, a task is taken to be up as soon as it is asked for.
            deployment["rolloutState"] = "IN_PROGRESS"
            ecs._record_service_task_failure(task)


def end_batch_jobs() -> None:
    for job in batch._jobs.values():
        code = int(ending(batch._job_definitions[job["jobDefinition"]][-1]["containerProperties"]))
        job["status"], job["container"] = "FAILED" if code else "SUCCEEDED", {"exitCode": code}


def end_glue_runs() -> None:
    for runs in glue._job_runs.values():
        for run in runs:
            run["JobRunState"] = run["Arguments"].get("--END", "SUCCEEDED")


def is_busy(job: str) -> bool:
    arguments = glue._jobs[job]["DefaultArguments"]
    arguments["--BUSY"] = str(int(arguments["--BUSY"]) - 1)
    return int(arguments["--BUSY"]) >= 0


async def refuse(send: Any) -> None:
    status, headers, body = error_response_json("ConcurrentRunsExceededException", "Concurrent runs exceeded for job")
    fields = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": fields})
    await send({"type": "http.response.body", "body": body})


async def whole_body(receive: Callable[[], Awaitable[Message]]) -> bytes:
    message = await receive()
    body = bytes(message.get("body", b""))
    while message.get("more_body"):
        message = await receive()
        body += message.get("body", b"")
    return body


def application(journal: Path) -> Callable[..., Awaitable[None]]:
    async def app(scope: Message, receive: Callable[[], Awaitable[Message]], send: Any) -> None:
        if scope["type"] != "http":
            await ministack.app(scope, receive, send)
            return
        body = await whole_body(receive)
        headers = dict(scope["headers"])
        target = headers.get(b"x-amz-target", b"").decode()
        operation = target.rpartition(".")[2] or scope["path"].rpartition("/")[2]
        if target or scope["path"].startswith("/v1/"):
            with journal.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"operation": operation, "request": json.loads(body or b"{}")}) + "\n")

        async def replay() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        with request_scope(ACCOUNT, REGION):
            if operation == "GetJobRun":
                end_glue_runs()
            if operation == "DescribeServices":
                fail_services()
            if operation == "StartJobRun" and is_busy(json.loads(body)["JobName"]):
                await refuse(send)
                return
        await ministack.app(scope, replay, send)
        with request_scope(ACCOUNT, REGION):
            if operation == "RunTask":
                end_tasks()
            elif operation == "submitjob":
                end_batch_jobs()

    return app


if __name__ == "__main__":
    config = Config()
    config.bind = [f"127.0.0.1:{sys.argv[1]}"]
    asyncio.run(serve(application(Path(sys.argv[2])), config))  # type: ignore[arg-type]
