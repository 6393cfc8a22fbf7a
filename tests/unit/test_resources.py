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


@pytest.mark.parametrize(
    ("engine", "provided", "records", "spark"),
    [
        ("auto", False, EMBEDDED_RECORDS, False),
        ("auto", False, EMBEDDED_RECORDS + 1, True),
        ("auto", True, 1, True),
        ("embedded", True, EMBEDDED_RECORDS + 1, False),
        ("spark", False, 1, True),
    ],
)
def test_which_engine(engine: str, provided: bool, records: int, spark: bool) -> None:
    resources = Resources(Settings(engine=engine, spark_provided=provided))
    assert resources._takes_spark(records) is spark


@pytest.mark.parametrize(
    ("engine", "records", "why"),
    [("spark", 1, "DEFTUNES_ENGINE"), ("auto", EMBEDDED_RECORDS + 1, f"{EMBEDDED_RECORDS + 1} records in one batch")],
)
def test_spark_that_is_not_installed(monkeypatch: pytest.MonkeyPatch, engine: str, records: int, why: str) -> None:
    monkeypatch.setattr("deftunes.resources.find_spec", lambda _: None)
    with pytest.raises(BadUsageError, match=f"expected Spark for {why}.*make spark.*DEFTUNES_ENGINE=embedded"):
        Resources(Settings(engine=engine))._takes_spark(records)
