"""Users and sessions, every day: the Purchase API to silver, the star schema and the BI views.

One run a UTC day, oldest first, each for its data interval; of the days before it (`DEFTUNES_LOOK_BACK`) what was
landed already is read again, so late sessions and changed likes arrive. It publishes `deftunes_transform.users`, then
`deftunes_transform.sessions`, which name users: refused users hold the sessions of that run back, too.
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
