"""Bring the dashboards of a release to AWS, where Terraform has made room for them (variable `dashboards`).

    image of the release  ->  a new revision of both task definitions
    task `assets`, once   ->  Superset's own state: migrations, roles, dashboards
    task `server`         ->  what the service runs

The import comes first and stops the deploy when it fails: the service then shows what it showed before. Importing again
changes nothing, so a deploy that was cut off is finished by the same command.
"""

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import WaiterError

from deftunes.core.errors import DeftunesError

if TYPE_CHECKING:
    from collections.abc import Sequence

_LOOKS = 90  # how often a wait looks: every ten seconds of a quarter of an hour
_KEY_LENGTH = 64


@dataclass(frozen=True, slots=True)
class Dashboards:
    """Terraform's output `dashboards`: where they are and what they are called."""

    address: str
    cluster: str
    service: str
    families: dict[str, str]
    log_group: str
    secret_key: str
    security_groups: "Sequence[str]"
    subnets: "Sequence[str]"


def deploy_dashboards(there: Dashboards, image: str, ecs: Any, secrets: Any, seconds: float = 900) -> list[str]:
    """Let the service run an image, after its assets are imported; returns what has changed, in words.

    Raises:
        DeftunesError: the import failed, or the service does not run the image within `seconds`.
    """
    _give_key(there.secret_key, secrets)
    _import_assets(there, _revision(there.families["assets"], image, ecs), ecs, seconds)
    server = _revision(there.families["server"], image, ecs)
    service = _described(there, ecs)
    if service["taskDefinition"] == server and service["desiredCount"] > 0:
        return []
    ecs.update_service(
        cluster=there.cluster, service=there.service, taskDefinition=server,
        desiredCount=max(1, service["desiredCount"]), forceNewDeployment=True,
    )  # fmt: skip
    _wait_for_service(there, server, ecs, seconds)
    return [f"{there.address} shows {image}"]


def _give_key(name: str, secrets: Any) -> None:
    """Put a value into the secret that sessions are signed with, at the first deploy; no state ever holds it."""
    described = secrets.describe_secret(SecretId=name)
    if any("AWSCURRENT" in stages for stages in described.get("VersionIdsToStages", {}).values()):
        return
    made = secrets.get_random_password(PasswordLength=_KEY_LENGTH, ExcludePunctuation=True)["RandomPassword"]
    secrets.put_secret_value(SecretId=name, SecretString=made)


def _revision(family: str, image: str, ecs: Any) -> str:
    """The newest revision of a task definition if it runs the image, or one like it that does."""
    found = ecs.describe_task_definition(taskDefinition=family, include=["TAGS"])
    newest, tags = found["taskDefinition"], found.get("tags", [])
    (container,) = newest["containerDefinitions"]
    if container["image"] == image:
        return str(newest["taskDefinitionArn"])
    taken = ecs.meta.service_model.operation_model("RegisterTaskDefinition").input_shape.members
    given = {name: value for name, value in newest.items() if name in taken and value}
    given["containerDefinitions"] = [{**container, "image": image}]
    made = ecs.register_task_definition(**given, **({"tags": tags} if tags else {}))
    return str(made["taskDefinition"]["taskDefinitionArn"])


def _import_assets(there: Dashboards, revision: str, ecs: Any, seconds: float) -> None:
    started = ecs.run_task(
        cluster=there.cluster, taskDefinition=revision, launchType="FARGATE",
        networkConfiguration={
            "awsvpcConfiguration": {
                "subnets": list(there.subnets), "securityGroups": list(there.security_groups),
                "assignPublicIp": "DISABLED",
            }
        },
    )  # fmt: skip
    read = f"The service was left as it is. Read: aws logs tail {there.log_group} --since 30m"
    if not started["tasks"]:
        reasons = ", ".join(failure.get("reason", "no reason") for failure in started["failures"])
        raise DeftunesError(f"expected the import of the dashboards to start, got: {reasons}. {read}")
    task = started["tasks"][0]["taskArn"]
    try:
        ecs.get_waiter("tasks_stopped").wait(
            cluster=there.cluster, tasks=[task], WaiterConfig={"Delay": seconds / _LOOKS, "MaxAttempts": _LOOKS}
        )
    except WaiterError as error:
        raise DeftunesError(
            f"expected the import of the dashboards to end within {seconds:.0f} seconds, got: {error}. {read}"
        ) from error
    (ended,) = ecs.describe_tasks(cluster=there.cluster, tasks=[task])["tasks"]
    (container,) = ended["containers"]
    if container.get("exitCode") != 0:
        why = container.get("reason") or ended.get("stoppedReason", "no reason")
        code = container.get("exitCode", "none")
        raise DeftunesError(f"expected the import of the dashboards to end with exit code 0, got {code}: {why}. {read}")


def _wait_for_service(there: Dashboards, server: str, ecs: Any, seconds: float) -> None:
    """Until it runs the revision: ECS gives one up that does not start, and goes back to the one before."""
    for _ in range(_LOOKS):
        service = _described(there, ecs)
        mine = [each for each in service["deployments"] if each["taskDefinition"] == server]
        state = mine[0]["rolloutState"] if mine else "none"
        if state in {"FAILED", "none"}:
            break
        if state == "COMPLETED" and service["runningCount"] >= service["desiredCount"]:
            return
        time.sleep(seconds / _LOOKS)
    raise DeftunesError(
        f"expected {there.service} to run {server.rpartition('/')[2]} within {seconds:.0f} seconds, got the deployment "
        f"{state}. Read: aws logs tail {there.log_group} --since 30m"
    )


def _described(there: Dashboards, ecs: Any) -> dict[str, Any]:
    found: dict[str, Any] = ecs.describe_services(cluster=there.cluster, services=[there.service])["services"][0]
    return found
