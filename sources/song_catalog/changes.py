"""Change `deftunes.songs` as its owner would: update, insert, delete; and spoil it on purpose, for the drills.

Which rows change is a function of the seed and of what the table holds, so that a drill can be run again.
"""

from dataclasses import asdict, dataclass

from psycopg2.extensions import connection as Connection  # noqa: N812 - a class, named in lower case by the driver

from song_catalog.errors import CatalogError
from song_catalog.generator import newcomers
from song_catalog.loader import copy_songs
from song_catalog.songs import Song

_CHOOSE = """
create temporary table chosen on commit drop as
select track_id, row_number() over (order by md5(track_id || %(seed)s), track_id) as place
from deftunes.songs
where track_id is not null
order by place
limit %(chosen)s
"""
# Every kind of change that a reader must notice: a text, a number, an unknown that becomes known and the reverse.
_UPDATE = """
update deftunes.songs as songs
set
    title = case when place %% 5 = 0 then coalesce(title, '') || ' (Remastered)' else title end,
    artist_hotttnesss = case when place %% 5 = 1 then coalesce(artist_hotttnesss, 0) + 0.015625
        else artist_hotttnesss end,
    year = case when place %% 5 = 2 then (case when year = 0 then 1971 else 0 end) else year end,
    artist_mbid = case when place %% 5 = 3 then
        (case when artist_mbid is null then md5(songs.track_id)::uuid::text end) else artist_mbid end,
    artist_name = case when place %% 5 = 4 then coalesce(artist_name, '') || ' & Friends' else artist_name end
from chosen
where chosen.track_id = songs.track_id and place <= %(updates)s
"""
_DELETE = """
delete from deftunes.songs as songs
using chosen
where chosen.track_id = songs.track_id and place > %(updates)s
"""
_SPOILED = "Spoiled On Purpose"  # in the column release, to find these rows again


@dataclass(frozen=True, slots=True)
class Mutated:
    """Rows changed."""

    updated: int
    inserted: int
    deleted: int


def mutate(connection: Connection, *, seed: int, updates: int, inserts: int, deletes: int) -> Mutated:
    """Change the catalogue in one transaction; another seed takes other rows.

    Raises:
        CatalogError: the table holds fewer songs than are to be changed, or this seed has inserted before.

    """
    with connection, connection.cursor() as cursor:
        cursor.execute(_CHOOSE, {"seed": f"/{seed}", "chosen": updates + deletes})
        if cursor.rowcount < updates + deletes:
            raise CatalogError(
                f"expected at least {updates + deletes} songs to update and delete, got {cursor.rowcount};"
                " load more, or change fewer"
            )
        cursor.execute("analyze chosen")
        cursor.execute(_UPDATE, {"updates": updates})
        updated = cursor.rowcount
        cursor.execute(_DELETE, {"updates": updates})
        deleted = cursor.rowcount
        new = list(newcomers(seed, inserts))
        cursor.execute("select count(*) from deftunes.songs where track_id = any(%s)", ([s.track_id for s in new[:1]],))
        if cursor.fetchone() != (0,):
            raise CatalogError(f"expected a seed that has inserted nothing yet, got {seed}; choose another --seed")
        copy_songs(connection, new)
        return Mutated(updated, len(new), deleted)


@dataclass(frozen=True, slots=True)
class Spoiled:
    """Rows of one kind, and how many of them quarantine is to hold."""

    kind: str
    rejected: int
    songs: tuple[Song, ...]

    def to_json(self) -> dict[str, object]:
        """For the report of the CLI."""
        return {**asdict(self), "songs": [song._asdict() for song in self.songs]}


def spoiled_songs() -> list[Spoiled]:
    """At least one case for every rule that a song can break, and those that look wrong but are good."""
    good = Song(
        "TRZZZZZ128F0000000", "Spoiled", "SOZZZZZ12A80000000", _SPOILED, "ARZZZZZ1187B900000", None, "The Spoilers",
        180.0, 0.5, 0.5, 0, 1, -1, 0,
    )  # fmt: skip

    def numbered(number: int, **changes: object) -> Song:
        return good._replace(**{"track_id": f"TRZZZZZ128F{number:07X}", **changes})  # type: ignore[arg-type]

    twin = numbered(9, title="A Twin")
    return [
        Spoiled("track_id_null", 1, (numbered(1, track_id=None),)),
        Spoiled("track_id_short", 1, (numbered(2, track_id="TRZZZZZ128F000002"),)),
        Spoiled("track_id_long", 1, (numbered(3, track_id="TRZZZZZ128F00000003"),)),
        Spoiled("song_id_null", 1, (numbered(4, song_id=None),)),
        Spoiled("song_id_short", 1, (numbered(5, song_id="SOZZZZZ12A8000000"),)),
        Spoiled("artist_id_null", 1, (numbered(6, artist_id=None),)),
        Spoiled("track_id_duplicate", 2, (numbered(7, title="One"), numbered(7, title="Another"))),
        Spoiled("all_but_keys_null", 0, (Song(*[None] * 14)._replace(
            track_id=numbered(8).track_id, song_id=good.song_id, artist_id=good.artist_id, release=_SPOILED),)),
        Spoiled("identical_duplicate", 0, (twin, twin)),
    ]  # fmt: skip


def spoil(connection: Connection, kinds: list[str] | None = None) -> list[Spoiled]:
    """Insert spoiled songs of these kinds (None: all), replacing what an earlier call inserted.

    Raises:
        CatalogError: no such kind.

    """
    known = {case.kind: case for case in spoiled_songs()}
    unknown = sorted(set(kinds or ()) - set(known))
    if unknown:
        raise CatalogError(f"expected kinds out of {', '.join(known)}; got {', '.join(unknown)}")
    chosen = [case for kind, case in known.items() if kinds is None or kind in kinds]
    with connection, connection.cursor() as cursor:
        cursor.execute("delete from deftunes.songs where release = %s", (_SPOILED,))
        copy_songs(connection, [song for case in chosen for song in case.songs])
    return chosen
