"""The song catalogue: `deftunes.songs` of PostgreSQL, Million Song Dataset columns."""

from deftunes.core.entities.declaration import Column, Declaration
from deftunes.core.services import Service
from deftunes.core.stages import PipelineName

# In a landing: why the text of this row is not what the source holds. A landing without such rows has no such column.
UNREADABLE = "unreadable"

DECLARATION = Declaration(
    grain="one row per track_id",
    key=("track_id",),
    record_key="track_id",
    columns=(
        Column("track_id", "string", "track, TR + 16", required=True),
        Column("title", "string", "title as the catalogue has it"),
        Column("song_id", "string", "MSD song, SO + 16; several tracks may share one"),
        Column("release", "string", "album"),
        Column("artist_id", "string", "artist, AR + 16"),
        Column("artist_mbid", "string", "MusicBrainz id, often unknown"),
        Column("artist_name", "string", "artist's name on this track"),
        Column("duration", "double", "seconds"),
        Column("artist_familiarity", "double", "0 to 1"),
        Column("artist_hotttnesss", "double", "0 to a little above 1"),
        Column("year", "int", "0 = unknown"),
        Column("track_7digitalid", "bigint", "7digital's id"),
        Column("shs_perf", "bigint", "SecondHandSongs performance, -1 = none"),
        Column("shs_work", "bigint", "SecondHandSongs work, 0 = none"),
        Column("is_deleted", "boolean", "the source no longer holds this track", sent=False),
    ),
    is_snapshot=True,
    pipeline=PipelineName.SONGS,
    source=Service.POSTGRES,
    lookups=(("artist_id",),),
    # A daily change touches few rows of a large table: merge-on-read writes those and their delete files, no more.
    properties=(("write.merge.mode", "merge-on-read"), ("write.delete.mode", "merge-on-read")),
)
