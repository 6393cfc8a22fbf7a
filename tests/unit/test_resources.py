import pytest

from deftunes.core.errors import BadUsageError
from deftunes.core.services import Service
from deftunes.core.settings import Settings
from deftunes.embedded import resolve
from deftunes.resources import EMBEDDED_RECORDS, Resources

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


@pytest.mark.parametrize("installed", [True, False])
@pytest.mark.parametrize(
    ("engine", "provided", "records", "spark"),
    [
        ("auto", False, EMBEDDED_RECORDS, False),
        ("auto", False, EMBEDDED_RECORDS + 1, "installed"),
        ("auto", True, 1, True),
        ("embedded", True, EMBEDDED_RECORDS + 1, False),
        ("spark", False, 1, "installed"),
    ],
)
def test_which_engine(
    monkeypatch: pytest.MonkeyPatch, engine: str, provided: bool, records: int, spark: bool | str, installed: bool
) -> None:
    if not installed:
        monkeypatch.setattr("deftunes.resources.find_spec", lambda _: None)
    resources = Resources(Settings(engine=engine, spark_provided=provided))
    if engine == "spark" and not installed:
        with pytest.raises(BadUsageError, match=r"not installed here: `make spark` adds it.*DEFTUNES_ENGINE=embedded"):
            resources._takes_spark(records)
    else:
        assert resources._takes_spark(records) is (installed if spark == "installed" else spark)
