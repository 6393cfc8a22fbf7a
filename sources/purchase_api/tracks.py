"""What the shop sells: tracks of the catalogue, or invented ones where no catalogue is given, and a few unknown ones.

The assortment is kept beside the clock: a catalogue that changes later does not change what was sold before.
"""

import gzip
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

import psycopg2

from purchase_api.errors import SimulatorError
from purchase_api.files import replace_file

# As many as make a day's sales varied; a catalogue of millions need not sit in memory.
_MOST_TRACKS = 50_000
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_WORDS = ("Amber", "Bruno's", "Copper", "Désir", "Echo", "Fjord", "Gravity", "Halo", "Île", "Jasmin", "Kyoto", "Łódź")


@dataclass(frozen=True, slots=True)
class Track:
    """What a sale says about a track. `fragment`: these members of the item's JSON object, without braces."""

    track_id: str
    title: str
    artist_id: str
    artist_name: str
    fragment: str


def make_track(track_id: str, title: str, artist_id: str, artist_name: str) -> Track:
    """A track with its JSON written once for all its sales."""
    members = {"song_id": track_id, "song_name": title, "artist_id": artist_id, "artist_name": artist_name}
    fragment = json.dumps(members, ensure_ascii=False, separators=(",", ":"))[1:-1]
    return Track(track_id, title, artist_id, artist_name, fragment)


class Assortment:
    """Known tracks, and rare ones that the catalogue lacks or knows under another artist."""

    def __init__(self, seed: int, known: Sequence[Track]) -> None:
        self.known = known
        rng = Random(f"{seed}/rare")
        rare = []
        for number in range(8):
            track_id, artist_id, name = _track_id(rng), _artist_id(rng), f"The Unlisted {number}"
            # The same unknown track goes by two titles: the earliest sale decides its name.
            rare.append(make_track(track_id, f"Bootleg {number}", artist_id, name))
            rare.append(make_track(track_id, f"Bootleg {number} (Live)", artist_id, name))
            model = known[rng.randrange(len(known))]
            rare.append(make_track(_track_id(rng), f"B-Side {number}", model.artist_id, model.artist_name))
            rare.append(make_track(model.track_id, model.title, _artist_id(rng), f"The Impostors {number}"))
        self.rare = rare


def invented(seed: int, count: int = 1000) -> list[Track]:
    """Tracks for a shop without a catalogue."""
    rng = Random(f"{seed}/assortment")
    artists = [(_artist_id(rng), f"{rng.choice(_WORDS)} & The {rng.choice(_WORDS)}s") for _ in range(count // 5 + 1)]
    return [
        make_track(_track_id(rng), f"{rng.choice(_WORDS)} {rng.choice(_WORDS)}", *rng.choice(artists))
        for _ in range(count)
    ]


def read_catalogue(dsn: str) -> list[Track]:
    """Tracks of `deftunes.songs`, always the same ones of the same table.

    Raises:
        SimulatorError: no PostgreSQL there, no such table, or nothing in it.

    """
    query = """
        select track_id, coalesce(title, ''), artist_id, coalesce(artist_name, '')
        from deftunes.songs
        where length(track_id) = 18 and artist_id is not null
        order by md5(track_id), title, artist_name
        limit %s
    """
    try:
        connection = psycopg2.connect(dsn)
        try:
            with connection, connection.cursor() as cursor:
                cursor.execute("set local client_encoding to 'UTF8'")
                cursor.execute(query, (_MOST_TRACKS,))
                tracks = [make_track(*row) for row in cursor.fetchall()]
        finally:
            connection.close()
    except psycopg2.Error as error:
        raise SimulatorError(
            f"expected a catalogue in deftunes.songs, got: {error}. Load one: `python -m song_catalog load`"
        ) from error
    if not tracks:
        raise SimulatorError("expected songs in deftunes.songs, got none. Load some: `python -m song_catalog load`")
    return tracks


def save_tracks(path: Path, tracks: Sequence[Track]) -> None:
    """Keep an assortment on disk."""
    rows = [(track.track_id, track.title, track.artist_id, track.artist_name) for track in tracks]
    replace_file(path, gzip.compress(json.dumps(rows).encode(), mtime=0))


def saved_tracks(path: Path) -> list[Track] | None:
    """The assortment on disk, or None if none was kept."""
    return [make_track(*row) for row in json.loads(gzip.decompress(path.read_bytes()))] if path.exists() else None


def _track_id(rng: Random) -> str:
    return f"TR{''.join(rng.choices(_LETTERS, k=5))}128F{rng.getrandbits(28):07X}"


def _artist_id(rng: Random) -> str:
    return f"AR{''.join(rng.choices(_LETTERS, k=5))}1187{rng.getrandbits(28):07X}"
