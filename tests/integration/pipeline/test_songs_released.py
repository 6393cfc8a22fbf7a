"""A song in quarantine whose text an earlier release wrote: it is the same song, once in there, and comes out."""

import hashlib
import json
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

from deftunes.adapters.catalog import silver_table
from deftunes.core import layout
from deftunes.core.entities import Entity
from deftunes.core.rules import Ruleset, load_ruleset
from deftunes.core.stages import ExtractOptions, PipelineName
from deftunes.resources import Resources
from support.pipeline import Pipeline, new_pipeline

if TYPE_CHECKING:
    from support.stack import Stack

FULL = ExtractOptions(full=True)


def write_as_java_would(rig: Pipeline) -> str:
    """Write the one record in quarantine again, its numbers as Spark writes them; returns its new key."""
    (row,) = rig.quarantine()
    record = row["record"].replace("0.0002", "2.0E-4")
    assert record != row["record"]
    row |= {"record": record, "record_sha256": hashlib.sha256(record.encode()).hexdigest()}
    with rig.resources() as resources:
        table = silver_table(resources.catalog, layout.QUARANTINE)
        assert table
        table.overwrite(pa.Table.from_pylist([row], schema=table.scan().to_arrow().schema))
    return str(row["record_sha256"])


def without_the_bound(resources: Resources, entity: Entity) -> Ruleset:
    """The rules of before a text had a length."""
    rules = load_ruleset(entity, max_price="2")
    return Ruleset(entity, tuple(rule for rule in rules.rules if "<= 255" not in rule.text))


def test_a_song_in_another_text(stack: "Stack", monkeypatch: pytest.MonkeyPatch) -> None:
    rig = new_pipeline(stack, None, songs=40, max_rejected=1.0)
    bad = "update deftunes.songs set duration = 0.0002, artist_id = {} where track_id = '{}' returning 1"
    track = rig.catalogue.songs()[0][0]
    rig.catalogue.query(bad.format("repeat('x', 300)", track))
    rig.run_until_published((0, 1), PipelineName.SONGS)
    digest = write_as_java_would(rig)

    # All songs are validated again, and the bad one with them.
    rig.catalogue.query("update deftunes.songs set title = title || '!' returning 1")
    rig.run_until_published((0, 1), PipelineName.SONGS, FULL)
    held = {row["record_sha256"]: json.loads(row["record"])["title"] for row in rig.quarantine()}
    assert held.pop(digest)
    ((other, title),) = held.items()
    assert title.endswith("!"), "another title is another record"

    rig.catalogue.query(f"update deftunes.songs set title = '{title[:-1]}' where track_id = '{track}' returning 1")
    rig.run_until_published((0, 1), PipelineName.SONGS, FULL)
    assert {row["record_sha256"] for row in rig.quarantine()} == {digest, other}

    monkeypatch.setattr(Resources, "rules", without_the_bound)
    rig.run_until_published((0, 1), PipelineName.SONGS)
    assert {row["record_sha256"] for row in rig.quarantine()} == {other}
    assert track in {row["track_id"] for row in rig.silver("songs")}
