import pytest

from deftunes.core.errors import BadUsageError
from deftunes.core.services import Service
from deftunes.core.settings import Settings
from deftunes.embedded import resolve
from deftunes.resources import Resources

PARTS = {
    "lake": "DEFTUNES_LAKE",
    "spark": "DEFTUNES_LAKE",
    "warehouse": "DEFTUNES_WAREHOUSE_DSN",
    "songs_source": "DEFTUNES_SONGS_DSN",
    "api": "DEFTUNES_API_URL",
}


def test_nothing_is_started_where_nothing_may_be_embedded() -> None:
    settings = Settings(embedded=False)
    assert resolve(settings, Service) == settings


@pytest.mark.parametrize(("part", "variable"), PARTS.items())
def test_an_address_that_is_missing_there_is_named(part: str, variable: str) -> None:
    with pytest.raises(BadUsageError, match=f"expected {variable} to be set"):
        getattr(Resources(Settings(embedded=False)), part)
