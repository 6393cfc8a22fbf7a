"""The users, as the Purchase API lists them now; silver holds every version of each."""

from deftunes.core.entities.declaration import Column, Declaration
from deftunes.core.services import Service
from deftunes.core.stages import PipelineName

DECLARATION = Declaration(
    grain="one row per version of a user (user_id, effective_from)",
    key=("user_id", "effective_from"),
    record_key="user_id",
    columns=(
        Column("user_id", "string", "user, uuid as text", required=True),
        Column(
            "effective_from", "timestamp", "extracted_at of the landing that first showed this version",
            required=True, sent=False,
        ),
        Column("user_name", "string", "first name"),
        Column("user_lastname", "string", "last name"),
        Column("latitude", "decimal(11,8)", "degrees"),
        Column("longitude", "decimal(11,8)", "degrees"),
        Column("place_name", "string", "place"),
        Column("country_code", "string", "ISO 3166-1 alpha-2"),
        Column("timezone", "string", "IANA name"),
        Column("user_since", "timestamp", "registration"),
    ),
    is_snapshot=True,
    pipeline=PipelineName.API,
    source=Service.API,
    lookups=(("effective_from",),),
)  # fmt: skip
