"""The simulator sells what the catalogue holds."""

from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError

import pytest

from song_catalog.generator import generate
from support.catalogue import Catalogue, new_catalogue
from support.simulator import Simulator, running_simulator
from support.stack import Stack


@pytest.fixture(scope="module")
def catalogue(stack: Stack) -> Iterator[Catalogue]:
    with new_catalogue(stack.settings, "purchase_api_test") as catalogue:
        yield catalogue


@pytest.fixture
def dsn(catalogue: Catalogue) -> str:
    catalogue.clear()
    catalogue.run("load", "--rows", 800)
    return catalogue.dsn


def sold(simulator: Simulator) -> list[dict[str, str]]:
    sessions = simulator.get("/sessions", start_date="2020-01-10", end_date="2020-01-12")
    return [item for session in sessions for item in session["session_items"]]


def test_tracks_of_the_catalogue_are_sold_and_a_few_others(dsn: str) -> None:
    with running_simulator(catalog_dsn=dsn, sessions_per_day=300) as simulator:
        items = sold(simulator)
    catalogue = {song.track_id: song for song in generate(1, 800)}
    known = [item for item in items if item["song_id"] in catalogue]
    assert 0.97 < len(known) / len(items) < 1
    assert all(item["song_name"] == (catalogue[item["song_id"]].title or "") for item in known)
    artists = [item["artist_id"] == catalogue[item["song_id"]].artist_id for item in known]
    assert 0.97 < sum(artists) / len(artists) < 1


def test_a_changed_catalogue_does_not_change_what_was_sold(dsn: str, tmp_path: Path) -> None:
    with running_simulator(catalog_dsn=dsn, state_dir=tmp_path) as simulator:
        before = sold(simulator)
    Catalogue(dsn).run("load", "--rows", 800, "--seed", 2, "--replace")
    with running_simulator(catalog_dsn=dsn, state_dir=tmp_path) as simulator:
        assert sold(simulator) == before


def test_a_catalogue_may_come_after_the_simulator(catalogue: Catalogue) -> None:
    catalogue.clear()
    with running_simulator(catalog_dsn=catalogue.dsn) as simulator:
        assert simulator.get("/users")
        with pytest.raises(HTTPError) as refused:
            sold(simulator)
        assert refused.value.code == 503
        assert b"expected a catalogue in deftunes.songs" in refused.value.read()
        catalogue.run("load", "--rows", 800)
        assert sold(simulator)


def test_a_simulator_without_its_dsn_does_not_start(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(AssertionError, match="stopped with exit code 1"), running_simulator(catalog_dsn=""):
        pass
    assert "expected a libpq string in the environment variable SIMULATOR_CATALOG_DSN, got nothing" in (
        capfd.readouterr().err
    )


def test_options_come_from_the_environment_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PURCHASE_API_CLOCK", "2020-01-11T00:00:00Z")
    with running_simulator() as simulator:
        assert simulator.get("/simulator/clock") == {"now": "2020-01-11T00:00:00+00:00"}
