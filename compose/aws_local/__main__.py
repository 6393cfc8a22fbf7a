"""Serve the AWS of compose.yaml.

The containers of tasks and Glue jobs get the variables `CONTAINER_*` of this process, without that prefix, in place of
a role's credentials.
"""

import os
import sys
from pathlib import Path
from typing import Annotated

import docker
import typer
from docker.errors import DockerException

from aws_local import containers, glue
from deftunes.embedded import aws_server

_CONTAINER_PREFIX = "CONTAINER_"


def serve(
    objects: Annotated[Path, typer.Option(help="MiniStack's S3_DATA_DIR.")],
    port: Annotated[int, typer.Option(help="MiniStack's GATEWAY_PORT.")] = 4566,
    memory: Annotated[int, typer.Option(help="Memory limit of a task or job, in MiB.")] = 3072,
) -> None:
    """Serve until SIGTERM."""
    _check_engine()
    environment = {
        name.removeprefix(_CONTAINER_PREFIX): value
        for name, value in os.environ.items()
        if name.startswith(_CONTAINER_PREFIX)
    }
    containers.patch_ministack(containers.ContainerPolicy(environment, memory))
    glue.patch_ministack()
    # All interfaces: containers reach it by their network, and compose publishes it on the loopback interface only.
    aws_server.main(objects, port, host="0.0.0.0")  # noqa: S104


def _check_engine() -> None:
    """Exit if no container engine answers: MiniStack would then invent the results of tasks and jobs."""
    try:
        docker.from_env(timeout=10).ping()
    except DockerException as error:
        sys.exit(
            f"aws-local: expected a container engine at /var/run/docker.sock, got: {error}. Where it is elsewhere on "
            "your machine, set DOCKER_SOCKET in .env"
        )


if __name__ == "__main__":
    typer.run(serve)
