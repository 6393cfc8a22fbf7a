"""What Airflow answers, asked once: starting it takes seconds."""

from collections.abc import Iterator

import pytest

from support.airflow import (
    CASES,
    IN_BATCH,
    IN_BATCH_RUNS,
    ON_ECS,
    ON_ECS_RUNS,
    RUNS,
    VARIANTS,
    Asked,
    LocalAws,
    ask,
)


@pytest.fixture(scope="session")
def local_aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAws]:
    started = LocalAws(tmp_path_factory.mktemp("aws"))
    yield started
    started.process.terminate()
    started.process.wait()


@pytest.fixture(scope="session")
def airflow(local_aws: LocalAws, tmp_path_factory: pytest.TempPathFactory) -> Asked:
    """Both DAGs as the settings of a laptop make them: described, rendered, and run."""
    return ask(tmp_path_factory.mktemp("airflow"), {"cases": CASES, "runs": RUNS}, local_aws)


@pytest.fixture(scope="session")
def airflow_in_batch(local_aws: LocalAws, tmp_path_factory: pytest.TempPathFactory, airflow: Asked) -> Asked:
    """The same with stages sent to AWS Batch, and few days; and what other settings make of the files."""
    question = {"cases": CASES, "runs": IN_BATCH_RUNS, "variants": VARIANTS}
    return ask(tmp_path_factory.mktemp("airflow"), question, local_aws, **IN_BATCH)


@pytest.fixture(scope="session")
def airflow_on_ecs(local_aws: LocalAws, tmp_path_factory: pytest.TempPathFactory, airflow: Asked) -> Asked:
    """The same with transform and quality as containers."""
    return ask(tmp_path_factory.mktemp("airflow"), {"cases": CASES, "runs": ON_ECS_RUNS}, local_aws, **ON_ECS)
