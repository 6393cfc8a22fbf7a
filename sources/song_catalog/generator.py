"""A made-up catalogue with the quirks of the real one, any number of rows in constant memory.

A pure function of the seed: the first N rows of a longer catalogue are the catalogue of N rows. Quirks that the
real data has once in ten thousand rows come once in every `QUIRK_PERIOD` here, so that a small catalogue has them all.
"""

import uuid
from collections.abc import Callable, Iterator
from itertools import count, islice
from random import Random
from typing import NamedTuple

from song_catalog.songs import Song

QUIRK_PERIOD = 400
_MOST_ARTISTS = 40_000
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_PAIRS = [first + second for first in _LETTERS for second in _LETTERS]
# Track ids are a permutation of the row numbers, so that they are unique and arrive unsorted. Ids whose first letter
# is Z are left to songs that are inserted later.
_ID_SPACE = 25 * 26**4
_ID_STEP = 7_368_787  # coprime to _ID_SPACE
_SPELLINGS = ("And", "&", "and", "With", "feat.", "Featuring")

_OPENERS = (
    "Amor", "Angel", "Blue", "Broken", "Cançó", "Corazón", "Crazy", "Dancing", "Dark", "Don't", "Endless", "Für",
    "Ghost", "Golden", "Hidden", "I'm", "Jeg", "Last", "Little", "Long", "Lost", "Midnight", "Moonlit", "Née", "Never",
    "Noche", "Ocean", "Ordinary", "Paper", "Quiet", "Red", "Señorita", "Silver", "Slow", "Summer", "Tu", "Über",
    "Velvet", "Wild", "Winter", "You & I_", "Ça", "Łzy", "Любовь", "夜", "사랑",
)  # fmt: skip
_CLOSERS = (
    "Afternoon", "Again", "Balada", "Blues", "Boogie", "Boulevard", "City", "Days", "Dream", "Eyes", "Fire", "Garden",
    "Heart", "Highway", "Home", "Houses", "Infinity", "Jamás", "Kisses", "Letters", "Lights", "Love", "Machine",
    "Mañana", "Mirror", "Morning", "Nights", "On The Floor", "Parade", "Rain", "River", "Road", "Rêverie", "Serenade",
    "Shadow", "Sky", "Song", "Stranger", "Tango", "Tomorrow", "Waltz", "Window", "für Elise", "ночь", "恋", "노래",
)  # fmt: skip
_TAILS = (
    "", "", "", "", "", "", " (Live)", " (Album Version)", " (Remastered)", " [Demo]", " - Radio Edit", " Pt. 2",
    " (Featuring Abel_ Bob and Cid)", "/Intro",
)  # fmt: skip
_SYLLABLES = (
    "ba", "ce", "dø", "fi", "gua", "hjo", "ian", "jé", "ku", "lor", "mi", "nao", "ó", "pra", "qui", "ro", "san", "tê",
    "ul", "vey", "wo", "xi", "yr", "zu", "ñe", "ać",
)  # fmt: skip
_BANDS = (
    "Acorns", "Beacons", "Cartographers", "Dynamos", "Électriques", "Foxes", "Gardeners", "Hermits", "Islanders",
    "Jesters", "Kestrels", "Lanterns", "Mångata", "Navigators", "Orchestra", "Pilgrims", "Quartet", "Ramblers",
    "Sinfonietta", "Travellers", "Umbrellas", "Vagabonds", "Wanderers", "Xylophones", "Youngsters", "Žirafy",
)  # fmt: skip


class _Artist(NamedTuple):
    """An artist id with the names it goes by; the values differ a little from track to track, as measured at times."""

    artist_id: str
    mbid: str | None
    names: tuple[str, ...]
    familiarity: float
    hotttnesss: float


def _artists(seed: int) -> Iterator[_Artist]:
    rng = Random(f"{seed}/artists")
    before: _Artist | None = None
    for number in count():
        name = _artist_name(rng)
        mbid = None if rng.random() < 0.1 else str(uuid.UUID(int=rng.getrandbits(128), version=4))  # noqa: PLR2004
        if before and number % 160 == 6:  # noqa: PLR2004 - a name of two artists
            name = before.names[0]
        if before and number == 7:  # noqa: PLR2004 - an mbid of two artists
            mbid = before.mbid
        names = [name]
        if rng.random() < 0.12:  # noqa: PLR2004
            other = _artist_name(rng)
            names += [f"{name} {rng.choice(_SPELLINGS)} {other}" for _ in range(rng.randrange(1, 4))]
            if rng.random() < 0.2:  # noqa: PLR2004
                names.append(other)
        artist_id = f"AR{_letters(rng.randrange(26**5))}1187{rng.getrandbits(28):07X}"
        before = _Artist(artist_id, mbid, tuple(names), rng.triangular(), rng.triangular(0, 1, 0.3))
        yield before


def generate(seed: int, rows: int) -> Iterator[Song]:
    """The first `rows` songs of the catalogue that `seed` names.

    Raises:
        ValueError: more rows than there are track ids.

    """
    if rows > _ID_SPACE:
        raise ValueError(f"expected at most {_ID_SPACE} rows, got {rows}")
    start = Random(f"{seed}/ids").randrange(_ID_SPACE)
    return _songs(
        seed, "catalogue", rows, lambda number: _letters((start + number * _ID_STEP) % _ID_SPACE), quirks=_QUIRKS
    )


def newcomers(seed: int, rows: int) -> Iterator[Song]:
    """Songs to insert into a catalogue later: no track id of theirs is in any generated catalogue."""
    prefix = "Z" + _letters(Random(f"{seed}/newcomers").randrange(26**4))[1:]
    return _songs(seed, "newcomers", rows, lambda _: prefix, quirks={})


Quirk = Callable[[Song, Song], Song]


def _songs(
    seed: int, purpose: str, rows: int, letters: Callable[[int], str], quirks: dict[int, Quirk]
) -> Iterator[Song]:
    rng = Random(f"{seed}/{purpose}")
    random, bits = rng.random, rng.getrandbits
    artists: list[_Artist] = []
    others = _artists(seed)
    song: Song | None = None
    for number in range(rows):
        known = min(40 + number // 3, _MOST_ARTISTS)
        if len(artists) < known:
            artists += islice(others, known - len(artists))
        artist = artists[int(known * random() * random())]
        choice = bits(64)
        title = (
            f"{_OPENERS[choice % len(_OPENERS)]} {_CLOSERS[(choice >> 8) % len(_CLOSERS)]}"
            f"{_TAILS[(choice >> 16) % len(_TAILS)]}"
        )
        release = f"{_CLOSERS[(choice >> 24) % len(_CLOSERS)]} {_OPENERS[(choice >> 32) % len(_OPENERS)]}"
        covered = choice >> 58 == 0
        following = Song(
            # The hex part of a newcomer's id counts; an odd factor makes it a permutation.
            f"TR{letters(number)}128F{(number * 0x9E3779B + 0x51) & 0xFFFFFFF:07X}",
            title,
            f"SO{_letters(bits(24) % 26**5)}12A{bits(32):08X}",
            release,
            artist.artist_id,
            artist.mbid,
            artist.names[(choice >> 40) % len(artist.names)],
            round(20 + random() ** 2 * 600, 5),
            round(artist.familiarity + (random() < 0.05) * 0.001, 12),  # noqa: PLR2004
            round(artist.hotttnesss + (random() < 0.03) * 0.001, 12),  # noqa: PLR2004
            0 if choice & 0x8000 else 1926 + int(84 * random() ** 0.3),
            1_000 + bits(23),
            (-1 if choice & 0x400000 else bits(17)) if covered else -1,
            (-bits(14) - 1 if choice & 0x300000 == 0 else bits(17) + 1) if covered else 0,
        )
        quirk = quirks.get(number % QUIRK_PERIOD)
        song = quirk(following, song or following) if quirk else following
        yield song


def _letters(number: int) -> str:
    """Five letters for a number below 26**5."""
    front, pair = divmod(number, 676)
    first, middle = divmod(front, 676)
    return _LETTERS[first] + _PAIRS[middle] + _PAIRS[pair]


def _artist_name(rng: Random) -> str:
    shape = rng.random()
    if shape < 0.3:  # noqa: PLR2004
        return f"{_coined(rng)} {_coined(rng)}"
    if shape < 0.6:  # noqa: PLR2004
        return f"The {rng.choice(_OPENERS)} {_coined(rng)}s"
    if shape < 0.9:  # noqa: PLR2004
        return f"{_coined(rng)} {rng.choice(_SPELLINGS[:3])} The {rng.choice(_BANDS)}"
    return f"{rng.choice(_OPENERS)} {rng.choice(_CLOSERS)}"


def _coined(rng: Random) -> str:
    """A name that no language has: enough of them that hardly two artists share one."""
    return "".join([rng.choice(_SYLLABLES) for _ in range(rng.randrange(2, 4))]).capitalize()


def _titled(title: str | None) -> Quirk:
    return lambda song, _: song._replace(title=title)


def _with(**changes: object) -> Quirk:
    return lambda song, _: song._replace(**changes)  # type: ignore[arg-type]


_QUIRKS: dict[int, Quirk] = {
    10: _titled(""),
    20: _titled(None),
    30: _titled("I Didn\x19t Mean To"),
    40: _with(release="Live \x13 At The \x14Barn"),
    50: _titled("Two\tColumns"),
    60: _titled("First Line\nSecond Line"),
    70: _titled("Carriage\r\nReturn"),
    80: _titled('She Said "Yes"'),
    90: _titled("Semi;colon, comma_ under"),
    100: _titled(r"C:\N or \. or \\"),
    110: _titled(r"\N"),
    120: _titled("NULL"),
    130: _titled(" Blanks At Both Ends "),
    140: _titled("No-break End\u00a0"),
    150: _titled("Zoe\u0308 (combining) and Zo\u00eb (composed)"),
    160: _titled("Rock 🎸 And Roll 🤘🏽"),
    170: _titled("أغنية الليل"),
    180: lambda song, _: song._replace(artist_name=(f"{song.artist_name} " * 64)[:255]),
    190: _titled("All The Verses Of A Very Long Ballad_ " * 4 + "And Its Refrain Too"),
    200: lambda song, before: song._replace(song_id=before.song_id),
    210: lambda song, before: song._replace(
        title=before.title,
        artist_id=before.artist_id,
        artist_mbid=before.artist_mbid,
        artist_name=before.artist_name,
    ),
    220: lambda song, before: song._replace(track_7digitalid=before.track_7digitalid),
    230: _with(artist_familiarity=None),
    240: _with(artist_hotttnesss=1.08250255673),
    250: _with(artist_hotttnesss=0.0, artist_familiarity=0.0),
    260: _with(year=0),
    270: _with(shs_perf=-1, shs_work=-1431),
    280: _with(shs_perf=72250, shs_work=72248),
    290: _with(duration=1.04444),
    300: _titled("O'Brien's; drop table songs; --"),
    310: _with(artist_mbid=None),
}
