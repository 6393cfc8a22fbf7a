"""The catalogue, every day: `deftunes.songs` to silver, the star schema and the BI views.

One run per UTC day, oldest first, each for its data interval. A run reads the catalogue as it is now, mostly only what
changed since the last published batch; the param `full` reads all of it. It publishes `deftunes_transform.songs`.
"""

from airflow.sdk import Param, chain
from deftunes_tasks import gold, pipeline, silver, stage

with pipeline(
    "deftunes_songs_pipeline_dag",
    doc=__doc__,
    params={
        "accept_shrink": Param(False, type="boolean", description="Land the catalogue although songs are missing."),
        "full": Param(False, type="boolean", description="Read the whole catalogue, not only what changed."),
    },
):
    chain(
        stage("extract_songs", flags=("accept_shrink", "full")),
        stage("transform_songs"),
        stage("quality_songs"),
        stage("publish_songs", outlets=[silver("songs")]),
        stage("load_songs", inlets=[silver("songs")]),
        stage("model"),
        stage("check_songs", outlets=[gold()]),
    )
