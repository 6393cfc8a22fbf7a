"""A full read finds what an increment has missed: it is mended, and said."""

from typing import TYPE_CHECKING, Any

from deftunes.core import layout
from deftunes.core.entities import Entity
from deftunes.core.stages import ExtractOptions, PipelineName, Stage
from support.pipeline import Pipeline, new_pipeline

if TYPE_CHECKING:
    from support.stack import Stack

FULL = ExtractOptions(full=True)


def run(rig: Pipeline, options: ExtractOptions | None = None) -> tuple[str, ...]:
    """What transform has to say."""
    outcomes = rig.run_until_published((1, 2), PipelineName.SONGS, options)
    results: list[Any] = [outcome.result for outcome in outcomes if outcome.stage is Stage.TRANSFORM]
    return results[0].notes if results else ()


def miss_what_was_written(rig: Pipeline) -> None:
    """Let the cursor of the landing that `main` holds be one of now, as if nothing had been written since."""
    ((now,),) = rig.catalogue.query("select pg_snapshot_xmax(pg_current_snapshot())::text")
    with rig.resources() as resources:
        published = resources.published_manifest(Entity.SONGS)
        assert published
        receipt = f"{published.landings[layout.SNAPSHOT]}/{layout.RECEIPT}"
        stored = resources.lake.get_json(receipt)
        assert stored
        stored["source"]["cursor"] = now
        resources.lake.put_json(receipt, stored)


def title_of(rig: Pipeline, track: str) -> str:
    (title,) = (row["title"] for row in rig.silver("songs") if row["track_id"] == track)
    return str(title)


def test_what_an_increment_missed_is_mended_and_said_by_the_full_read(stack: "Stack") -> None:
    rig = new_pipeline(stack, None, songs=40)
    assert run(rig) == ()
    first, second = (row[0] for row in rig.catalogue.songs()[:2])
    update = "update deftunes.songs set title = 'changed' where track_id = '{}' returning 1"
    rig.catalogue.query(update.format(first))
    miss_what_was_written(rig)
    assert run(rig) == ()
    assert title_of(rig, first) != "changed", "else this test tries nothing"
    rig.catalogue.query(update.format(second))

    (note,) = run(rig, FULL)

    assert note.startswith("WRONG IN MAIN UNTIL NOW: 1 songs differ")
    assert first in note
    assert second not in note
    assert (title_of(rig, first), title_of(rig, second)) == ("changed", "changed")
    rig.catalogue.query(update.replace("changed", "again").format(first))
    assert run(rig, FULL) == ()
    assert title_of(rig, first) == "again"
