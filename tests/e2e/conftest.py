"""The platform in containers, started once for all of these tests. Its images are built before: `make images`."""

import os
from collections.abc import Iterator

import pytest
from testcontainers.core.config import ConnectionMode, testcontainers_config

from support.containers import Airflow, Platform

# What tidies up after a killed test run is an image of a registry's; `with` does it here.
testcontainers_config.ryuk_disabled = True
# `on_loopback` publishes there; by itself it looks elsewhere where it takes this machine for a container.
testcontainers_config.connection_mode_override = ConnectionMode.docker_host
testcontainers_config.tc_host_override = "127.0.0.1"


@pytest.fixture(scope="session")
def platform() -> Iterator[Platform]:
    """Everything up on no data; the demo runs. After a failure its services' last words are shown."""
    platform = Platform(days=int(os.environ.get("DEFTUNES_E2E_DAYS", "1")))
    platform.down()
    try:
        platform.up()
        yield platform
    finally:
        if not os.environ.get("DEFTUNES_E2E_KEEP"):
            platform.down()
        platform.engine.close()


@pytest.fixture(scope="session")
def airflow(platform: Platform) -> Airflow:
    """Airflow, when both DAGs have done the days of the demo."""
    airflow = Airflow(platform)
    try:
        airflow.wait_for_demo()
    except AssertionError as error:
        raise AssertionError(f"{error}\n{platform.logs()}") from error
    return airflow
