"""The sessions of the Purchase API, and the items sold in each: events, by UTC day."""

from deftunes.core.entities.declaration import Column, Declaration
from deftunes.core.services import Service
from deftunes.core.stages import PipelineName

DECLARATION = Declaration(
    grain="one row per item of a session (session_id, item_number)",
    key=("session_id", "item_number"),
    record_key="session_id",
    columns=(
        Column("session_id", "string", "session, uuid as text", required=True),
        Column("item_number", "int", "place in the session as sent, from 1", required=True, of_item=True),
        Column("user_id", "string", "buyer", required=True),
        Column("track_id", "string", "track sold (the API calls it song_id)", of_item=True),
        Column("song_name", "string", "title at the sale", of_item=True),
        Column("artist_id", "string", "artist at the sale", of_item=True),
        Column("artist_name", "string", "artist's name at the sale", of_item=True),
        Column("price", "decimal(12,2)", "price in `currency`", of_item=True),
        Column("currency", "string", "ISO 4217", of_item=True),
        Column("liked", "boolean", "the buyer liked the track; may change later", of_item=True),
        Column("liked_since", "timestamp", "since when", of_item=True),
        Column("user_agent", "string", "client"),
        Column("session_start_time", "timestamp", "start of the session, UTC", required=True),
    ),
    is_snapshot=False,
    pipeline=PipelineName.API,
    source=Service.API,
    needs=("users",),
    lookups=(
        ("session_start_time",),
        ("user_id", "session_start_time"),
        ("track_id", "session_start_time"),
        ("artist_id", "session_start_time"),
    ),
    partitioned_by=("days(session_start_time)",),
    properties=(("write.distribution-mode", "hash"),),
)
