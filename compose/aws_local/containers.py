"""The options of containers for ECS tasks and Glue jobs: those of AWS, and a policy that isolates them from the host.

    MiniStack's create(...)  ->  apply_policy()  ->  Docker

MiniStack starts containers with the engine's defaults and acts as their S3. AWS provides the credentials of a role, the
memory limit of the definition, a read-only root file system, and an init process that forwards signals.
Whoever reaches MiniStack can define tasks, and MiniStack has the engine's socket. So a container gets nothing of the
host, whatever its definition says, and images are never pulled.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from docker.errors import ImageNotFound, NotFound
from docker.models.containers import ContainerCollection
from docker.models.images import ImageCollection
from docker.types import Mount
from ministack.services import ecs

_KIND_LABEL = "ministack"
_FAMILY_LABEL = "com.amazonaws.ecs.task-definition-family"
_REVISION_LABEL = "com.amazonaws.ecs.task-definition-version"
_MEBI = 1 << 20
_KILLED = 137
# The options of MiniStack that are passed on. Not `privileged`, `volumes`, `cap_add`, `pid_mode` or the host's network;
# nor `platform`, since images are built for this machine.
_PASSED_ON = {
    "command",
    "detach",
    "entrypoint",
    "environment",
    "extra_hosts",
    "labels",
    "name",
    "network",
    "ports",
}
# Spark options that make MiniStack the S3 of a Glue job; the job itself configures the lake's S3.
_MINISTACK_S3_OPTIONS = (
    "spark.hadoop.fs.s3a.",
    "spark.sql.catalog.spark_catalog",
    "spark.driver.extraJavaOptions=-Daws.endpointUrlS3=",
    "spark.executor.extraJavaOptions=-Daws.endpointUrlS3=",
)
# SDKs refuse these addresses of credentials, which are neither ECS's nor loopback.
_UNUSABLE_CREDENTIALS = ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_AUTHORIZATION_TOKEN")

Arguments = dict[str, Any]
Definition = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ContainerPolicy:
    """What applies to all containers: `environment` replaces role and region, `memory` (MiB) is the highest limit."""

    environment: Mapping[str, str]
    memory: int


def apply_policy(arguments: Arguments, policy: ContainerPolicy, definition: Definition | None) -> Arguments:
    """The arguments for a container of ECS or Glue as AWS would run it; those of other containers unchanged.

    `definition` is the task definition, None for a Glue job.
    """
    kind = arguments.get("labels", {}).get(_KIND_LABEL)
    if kind not in {"ecs", "glue"}:
        return arguments
    environment = {**arguments["environment"], **policy.environment}
    for name in _UNUSABLE_CREDENTIALS:
        environment.pop(name, None)
    options = {
        **{name: value for name, value in arguments.items() if name in _PASSED_ON},
        "environment": environment,
        "init": True,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
    }
    memory = policy.memory
    if kind == "glue":
        options["command"] = without_ministack_s3(arguments["command"])
    elif definition:
        memory = min(memory, int(definition.get("memory") or memory))
        (container,) = definition["containerDefinitions"]
        options["read_only"] = bool(container.get("readonlyRootFilesystem"))
        # Volumes without a folder of the host, as on Fargate: MiniStack ignores them.
        options["mounts"] = [
            Mount(target=mount["containerPath"], source=None, type="volume")
            for mount in container.get("mountPoints", [])
        ]
    limit = memory * _MEBI
    return {**options, "mem_limit": limit, "memswap_limit": limit}


def without_ministack_s3(command: list[str]) -> list[str]:
    """A spark-submit command without the options that make MiniStack the S3 of the job."""
    kept: list[str] = []
    rest = list(command)
    while rest:
        word = rest.pop(0)
        if word == "--conf" and rest and rest[0].startswith(_MINISTACK_S3_OPTIONS):
            rest.pop(0)
        else:
            kept.append(word)
    return kept


def patch_ministack(policy: ContainerPolicy) -> None:
    """Apply the policy to every container that MiniStack creates in this process from now on."""
    original: Callable[..., Any] = ContainerCollection.create

    def create(self: ContainerCollection, image: str, command: Any = None, **arguments: Any) -> Any:
        requested = {**arguments, "command": command}
        return original(self, image, **apply_policy(requested, policy, _definition(requested)))

    ContainerCollection.create = create  # type: ignore[assignment, method-assign]
    ImageCollection.pull = _refuse_pull  # type: ignore[assignment, method-assign]
    ecs._maybe_mark_stopped = detect_removed_containers(ecs._maybe_mark_stopped)


def detect_removed_containers(refresh: Callable[..., None]) -> Callable[..., None]:
    """MiniStack's refresh of a task's status, extended: a task whose container was removed has stopped."""

    def refresh_task(task: dict[str, Any], client: Any = None) -> None:
        refresh(task, client)
        engine = client or ecs._get_docker()
        for container in task.get("_docker_ids", ()) if task.get("lastStatus") == "RUNNING" else ():
            try:
                engine.containers.get(container)
            except NotFound:
                reason = "Its container was removed"
                ecs._mark_task_stopped(task["taskArn"], task, reason, "EssentialContainerExited", _KILLED)

    return refresh_task


def _refuse_pull(_: ImageCollection, repository: str, *_rest: Any, **_more: Any) -> Any:
    """Pull no image: a public registry's image of our name is somebody else's, and containers hold passwords."""
    raise ImageNotFound(f"expected the image {repository} on this machine, got none. Build it: make images")


def _definition(arguments: Arguments) -> Definition | None:
    labels = arguments.get("labels", {})
    found: Definition | None = ecs._task_defs.get(f"{labels.get(_FAMILY_LABEL)}:{labels.get(_REVISION_LABEL)}")
    return found
