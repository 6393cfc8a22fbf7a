"""The made-up catalogue: reproducible, unique where the real one is, and with all of its quirks."""

import hashlib
import os
import subprocess
import sys
from collections import defaultdict
from itertools import islice

import pytest

from song_catalog.changes import spoiled_songs
from song_catalog.generator import QUIRK_PERIOD, generate, newcomers
from song_catalog.songs import Song

SONGS = list(generate(1, 4000))
FEW = SONGS[:QUIRK_PERIOD]


def test_another_process_makes_the_same_songs() -> None:
    program = (
        "import hashlib; from song_catalog.generator import generate;"
        "print(hashlib.sha256(repr(list(generate(1, 4000))).encode()).hexdigest())"
    )
    output = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True, text=True, check=True, env={**os.environ, "PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo"},
    ).stdout  # fmt: skip
    assert output.strip() == hashlib.sha256(repr(SONGS).encode()).hexdigest()


def test_a_longer_catalogue_begins_with_the_shorter_one() -> None:
    assert list(islice(generate(1, 1_000_000), 4000)) == SONGS


def test_another_seed_makes_other_songs() -> None:
    assert not {song.track_id for song in generate(2, 4000)} & {song.track_id for song in SONGS}


def test_more_rows_than_ids_are_refused() -> None:
    with pytest.raises(ValueError, match="at most"):
        generate(1, 12_000_000)


def test_ids_have_the_form_of_the_real_ones() -> None:
    assert len({song.track_id for song in SONGS}) == len(SONGS)
    for song in SONGS:
        for value, prefix in ((song.track_id, "TR"), (song.song_id, "SO"), (song.artist_id, "AR")):
            assert value is not None
            assert len(value) == 18
            assert value.startswith(prefix)


def test_newcomers_are_in_no_catalogue() -> None:
    assert all(not song.track_id.startswith("TRZ") for song in SONGS if song.track_id)
    new = list(newcomers(1, 1000))
    assert all(song.track_id and song.track_id.startswith("TRZ") and len(song.track_id) == 18 for song in new)
    assert len({song.track_id for song in new}) == 1000
    assert {song.track_id for song in new}.isdisjoint(song.track_id for song in newcomers(2, 1000))


def texts(song: Song) -> str:
    return "\0".join(text for text in (song.title, song.release, song.artist_name) if text is not None)


@pytest.mark.parametrize(
    "quirk",
    [
        lambda song: song.title == "",
        lambda song: song.title is None,
        lambda song: song.title == r"\N",
        lambda song: song.artist_mbid is None,
        lambda song: song.artist_familiarity is None,
        lambda song: song.artist_familiarity == 0,
        lambda song: song.artist_hotttnesss > 1,
        lambda song: song.year == 0,
        lambda song: 1926 <= song.year <= 2010,
        lambda song: song.shs_perf > 0 and song.shs_work > 0,
        lambda song: song.shs_work < 0,
        lambda song: song.shs_perf == -1 and song.shs_work == 0,
        lambda song: len(song.artist_name) == 255,
        lambda song: len(song.title or "") > 150,
        lambda song: texts(song).isascii() is False,
        lambda song: any("\x13" <= character <= "\x19" for character in texts(song)),
        lambda song: "\t" in texts(song),
        lambda song: "\n" in texts(song),
        lambda song: "\r" in texts(song),
        lambda song: '"' in texts(song),
        lambda song: ";" in texts(song),
        lambda song: "\\" in texts(song),
        lambda song: song.title is not None and song.title != song.title.strip(),
    ],
)
def test_a_small_catalogue_has_every_quirk(quirk) -> None:  # type: ignore[no-untyped-def]
    assert any(map(quirk, FEW))


def test_keys_are_shared_as_in_the_real_catalogue() -> None:
    of_song, names, owners, mbids = (defaultdict(set) for _ in range(4))
    for song in SONGS:
        of_song[song.song_id].add(song.track_id)
        names[song.artist_id].add(song.artist_name)
        owners[song.artist_name].add(song.artist_id)
        mbids[song.artist_mbid].add(song.artist_id)
    mbids.pop(None)
    assert any(len(tracks) > 1 for tracks in of_song.values())
    assert any(len(several) > 1 for several in names.values())
    assert any(len(artists) > 1 for artists in owners.values())
    assert any(len(artists) > 1 for artists in mbids.values())


def test_spoiled_songs_break_the_rule_they_are_named_after_and_no_other() -> None:
    for case in spoiled_songs():
        for song in case.songs:
            broken = {
                name
                for name, value in (("track_id", song.track_id), ("song_id", song.song_id))
                if value is None or len(value) != 18
            } | ({"artist_id"} if song.artist_id is None else set())
            expected = {case.kind.rpartition("_")[0]} if case.rejected == 1 else set()
            assert broken == expected, case.kind
