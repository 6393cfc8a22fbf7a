"""Users and sessions, every day: the Purchase API to silver, the star schema and the BI views.

One run per UTC day, oldest first, each for its data interval. Days of the look-back (`DEFTUNES_LOOK_BACK`) that were
landed before are read again, for late sessions and changed likes. It publishes `deftunes_transform.users`, then
`deftunes_transform.sessions`, which refer to users: if the users are refused, the sessions of that run wait.
"""

from airflow.sdk import Param, chain
from deftunes_tasks import gold, pipeline, silver, stage

with pipeline(
    "deftunes_api_pipeline_dag",
    doc=__doc__,
    params={"accept_shrink": Param(False, type="boolean", description="Land an answer although records are missing.")},
):
    publish_users = stage("publish_users", outlets=[silver("users")])
    publish_sessions = stage("publish_sessions", outlets=[silver("sessions")])

    for entity, publish in (("users", publish_users), ("sessions", publish_sessions)):
        chain(
            stage(f"extract_{entity}", flags=("accept_shrink",)),
            stage(f"transform_{entity}"),
            stage(f"quality_{entity}"),
            publish,
        )
    # Sessions name users: theirs are there first.
    chain(
        publish_users,
        publish_sessions,
        [stage(f"load_{entity}", inlets=[silver(entity)]) for entity in ("users", "sessions")],
        stage("model"),
        stage("check_api", outlets=[gold()]),
    )
