"""The shape of `deftunes.songs`: the fourteen columns of the Million Song Dataset's `track_metadata.db`."""

from typing import NamedTuple

SCHEMA = "deftunes"
TABLE = "deftunes.songs"

# No key and no change column, as in the real table: finding duplicates and changes is the reader's business.
CREATE_TABLE = """
create table deftunes.songs (
    track_id varchar,
    title text,
    song_id varchar,
    release text,
    artist_id varchar,
    artist_mbid varchar,
    artist_name text,
    duration double precision,
    artist_familiarity double precision,
    artist_hotttnesss double precision,
    year integer,
    track_7digitalid integer,
    shs_perf integer,
    shs_work integer
)
"""


class Song(NamedTuple):
    """One row, in the order of the table's columns."""

    track_id: str | None
    title: str | None
    song_id: str | None
    release: str | None
    artist_id: str | None
    artist_mbid: str | None
    artist_name: str | None
    duration: float | None
    artist_familiarity: float | None
    artist_hotttnesss: float | None
    year: int | None
    track_7digitalid: int | None
    shs_perf: int | None
    shs_work: int | None


COLUMNS = Song._fields
