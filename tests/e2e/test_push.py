"""A release's images go to a registry once, from whatever was left of the last try."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
from docker import DockerClient
from testcontainers.core.container import DockerContainer
from testcontainers.core.wait_strategies import HttpWaitStrategy

from deftunes.core.errors import DeftunesError
from deploy import push_images
from support.containers import on_loopback

RELEASE = "0.0.0-test"
LOGIN = {"username": "AWS", "password": "x"}
IMAGES = ("extract", "dbt")


@pytest.fixture(scope="module")
def engine() -> Iterator[DockerClient]:
    engine = docker.from_env()
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def repositories(engine: DockerClient) -> Iterator[dict[str, str]]:
    """Repositories of a registry on this machine, and tiny images of the release to push."""
    image, folder = "deftunes-test/registry", Path(__file__).parent / "registry"
    subprocess.run(["docker", "buildx", "build", "--load", "--tag", image, str(folder)], check=True)
    for name in IMAGES:
        engine.images.get("debian:bookworm-slim").tag(f"deftunes/{name}", RELEASE)
    try:
        with on_loopback(DockerContainer(image), 5000).waiting_for(HttpWaitStrategy(5000, "/v2/")) as registry:
            port = registry.get_exposed_port(5000)
            yield {name: f"127.0.0.1:{port}/deftunes/{name}" for name in IMAGES}
    finally:
        for name in IMAGES:
            engine.images.remove(f"deftunes/{name}:{RELEASE}")


def test_a_release_is_pushed_once_and_finished_where_it_was_left(
    engine: DockerClient, repositories: dict[str, str]
) -> None:
    first = {"extract": repositories["extract"]}
    assert push_images(engine, first, RELEASE, LOGIN) == [f"{repositories['extract']}:{RELEASE}"]
    assert push_images(engine, repositories, RELEASE, LOGIN) == [f"{repositories['dbt']}:{RELEASE}"]
    assert push_images(engine, repositories, RELEASE, LOGIN) == []
    pushed = engine.images.get_registry_data(f"{repositories['dbt']}:{RELEASE}")
    assert pushed.short_id in {digest.partition("@")[2][: len(pushed.short_id)] for digest in _digests(engine)}


def test_an_image_that_was_not_built_is_named(engine: DockerClient, repositories: dict[str, str]) -> None:
    with pytest.raises(DeftunesError, match=r"image deftunes/extract:9\.9\.9 on this machine.*make images TAG=9\.9\.9"):
        push_images(engine, repositories, "9.9.9", LOGIN)


def _digests(engine: DockerClient) -> list[str]:
    return list(engine.images.get(f"deftunes/dbt:{RELEASE}").attrs["RepoDigests"])
