"""What the local AWS gives the containers of tasks and Glue jobs beyond what MiniStack does.

    MiniStack's create(...)  ->  settle()  ->  Docker

MiniStack starts a container with the engine's defaults and takes itself for S3. AWS gives it the credentials of its
role, the memory its definition names, a root file system that cannot be written, and an init that passes signals on.
Whoever reaches MiniStack can define tasks, and it holds the engine's socket: nothing of the host goes into a container,
whatever its definition says, and an image is this machine's or none.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from docker.errors import ImageNotFound, NotFound
from docker.models.containers import ContainerCollection
from docker.models.images import ImageCollection
from docker.types import Mount
from ministack.services import ecs

_KIND, _FAMILY, _VERSION = (
    "ministack",
    "com.amazonaws.ecs.task-definition-family",
    "com.amazonaws.ecs.task-definition-version",
)
_MEBI = 1 << 20
_KILLED = 137
# All that MiniStack may ask for. Not `privileged`, `volumes`, `cap_add`, `pid_mode` or the host's network; nor
# `platform`: what is built here is for this machine.
_ASKED = {"command", "detach", "entrypoint", "environment", "extra_hosts", "labels", "name", "network", "ports"}
# Where MiniStack says that it is S3; a Glue job's own session names the lake's.
_OWN_S3 = (
    "spark.hadoop.fs.s3a.",
    "spark.sql.catalog.spark_catalog",
    "spark.driver.extraJavaOptions=-Daws.endpointUrlS3=",
    "spark.executor.extraJavaOptions=-Daws.endpointUrlS3=",
)
# Addresses of credentials that SDKs refuse to ask, since they are neither ECS's nor this machine's.
_UNUSABLE = ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_AUTHORIZATION_TOKEN")

Arguments = dict[str, Any]
Definition = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Bounds:
    """What every container gets: `environment` stands for its role and region, `memory` (MiB) is the most of it."""

    environment: Mapping[str, str]
    memory: int


def settle(arguments: Arguments, bounds: Bounds, definition: Definition | None) -> Arguments:
    """The arguments of a container of MiniStack's as AWS would have them; of any other, as they are.

    `definition` is the task's; None for a Glue job.
    """
    kind = arguments.get("labels", {}).get(_KIND)
    if kind not in {"ecs", "glue"}:
        return arguments
    environment = {**arguments["environment"], **bounds.environment}
    for name in _UNUSABLE:
        environment.pop(name, None)
    settled = {
        **{name: value for name, value in arguments.items() if name in _ASKED},
        "environment": environment,
        "init": True,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
    }
    memory = bounds.memory
    if kind == "glue":
        settled["command"] = without_own_s3(arguments["command"])
    elif definition:
        memory = min(memory, int(definition.get("memory") or memory))
        (container,) = definition["containerDefinitions"]
        settled["read_only"] = bool(container.get("readonlyRootFilesystem"))
        # Volumes without a host's folder, such as Fargate's: MiniStack leaves them out.
        settled["mounts"] = [
            Mount(target=mount["containerPath"], source=None, type="volume")
            for mount in container.get("mountPoints", [])
        ]
    limit = memory * _MEBI
    return {**settled, "mem_limit": limit, "memswap_limit": limit}


def without_own_s3(command: list[str]) -> list[str]:
    """A spark-submit command without the options by which MiniStack makes itself the job's S3."""
    kept: list[str] = []
    rest = list(command)
    while rest:
        word = rest.pop(0)
        if word == "--conf" and rest and rest[0].startswith(_OWN_S3):
            rest.pop(0)
        else:
            kept.append(word)
    return kept


def govern(bounds: Bounds) -> None:
    """From now on, whatever container MiniStack makes in this process gets what AWS would give it."""
    make: Callable[..., Any] = ContainerCollection.create

    def create(self: ContainerCollection, image: str, command: Any = None, **arguments: Any) -> Any:
        asked = {**arguments, "command": command}
        return make(self, image, **settle(asked, bounds, _definition(asked)))

    ContainerCollection.create = create  # type: ignore[assignment, method-assign]
    ImageCollection.pull = _pull_nothing  # type: ignore[assignment, method-assign]
    ecs._maybe_mark_stopped = seeing_removals(ecs._maybe_mark_stopped)


def seeing_removals(mark: Callable[..., None]) -> Callable[..., None]:
    """MiniStack's look at a task, that also sees a container that somebody has removed: to it such a task runs on."""

    def look(task: dict[str, Any], client: Any = None) -> None:
        mark(task, client)
        engine = client or ecs._get_docker()
        for container in task.get("_docker_ids", ()) if task.get("lastStatus") == "RUNNING" else ():
            try:
                engine.containers.get(container)
            except NotFound:
                reason = "Its container was removed"
                ecs._mark_task_stopped(task["taskArn"], task, reason, "EssentialContainerExited", _KILLED)

    return look


def _pull_nothing(_: ImageCollection, repository: str, *_rest: Any, **_more: Any) -> Any:
    """An image of our name in a public registry is somebody else's, and a container holds passwords."""
    raise ImageNotFound(f"expected the image {repository} on this machine, got none. Build it: make images")


def _definition(arguments: Arguments) -> Definition | None:
    labels = arguments.get("labels", {})
    found: Definition | None = ecs._task_defs.get(f"{labels.get(_FAMILY)}:{labels.get(_VERSION)}")
    return found
