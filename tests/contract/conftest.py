import pytest

from support.terraform import PLANS, Plan, Workspace


@pytest.fixture(scope="session")
def terraform(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Terraform on a copy of the tree."""
    return Workspace(tmp_path_factory.mktemp("terraform"))


@pytest.fixture(scope="session", params=PLANS)
def plan(request: pytest.FixtureRequest, terraform: Workspace) -> Plan:
    """What an environment would create, and what one with dashboards."""
    return terraform.plans[request.param]
