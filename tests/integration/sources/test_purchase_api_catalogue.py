"""The simulator sells what the catalogue holds."""

from contextlib import closing
from pathlib import Path

import psycopg2
import pytest

from deftunes.config import Settings
from song_catalog.generator import generate
from song_catalog.loader import load_songs
from support.simulator import Simulator, running_simulator


@pytest.fixture
def dsn(settings: Settings) -> str:
    assert settings.songs_dsn
    text = settings.songs_dsn.get_secret_value()
    with closing(psycopg2.connect(text)) as connection:
        load_songs(connection, generate(1, 800), replace=True)
    return text


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
    with closing(psycopg2.connect(dsn)) as connection:
        load_songs(connection, generate(2, 800), replace=True)
    with running_simulator(catalog_dsn=dsn, state_dir=tmp_path) as simulator:
        assert sold(simulator) == before


def test_without_a_catalogue_it_does_not_start(settings: Settings, capfd: pytest.CaptureFixture[str]) -> None:
    assert settings.songs_dsn
    with (
        pytest.raises(AssertionError, match="stopped with exit code 1"),
        running_simulator(catalog_dsn=settings.songs_dsn.get_secret_value()),
    ):
        pass
    assert "expected a catalogue in deftunes.songs" in capfd.readouterr().err
