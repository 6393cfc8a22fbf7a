"""Serve the AWS of compose.yaml.

Variables `CONTAINER_*` of this process, without that prefix, are what each of those containers gets for its role.
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

_FOR_CONTAINERS = "CONTAINER_"


def serve(
    objects: Annotated[Path, typer.Option(help="MiniStack's S3_DATA_DIR.")],
    port: Annotated[int, typer.Option(help="MiniStack's GATEWAY_PORT.")] = 4566,
    memory: Annotated[int, typer.Option(help="Most memory of a task or job, in MiB.")] = 3072,
) -> None:
    """Serve until SIGTERM."""
    _expect_engine()
    environment = {
        name.removeprefix(_FOR_CONTAINERS): value
        for name, value in os.environ.items()
        if name.startswith(_FOR_CONTAINERS)
    }
    containers.govern(containers.Bounds(environment, memory))
    glue.govern()
    # Every interface: it is reached from its containers' network, and compose publishes it on the loopback only.
    aws_server.main(objects, port, host="0.0.0.0")  # noqa: S104


def _expect_engine() -> None:
    """Without an engine MiniStack makes up how tasks and jobs end."""
    try:
        docker.from_env(timeout=10).ping()
    except DockerException as error:
        sys.exit(
            f"aws-local: expected a container engine at /var/run/docker.sock, got: {error}. Where it is elsewhere on "
            "your machine, set DOCKER_SOCKET in .env"
        )


if __name__ == "__main__":
    typer.run(serve)
