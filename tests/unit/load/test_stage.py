"""What load says to a warehouse, in SQL that Redshift understands too."""

from datetime import UTC, date, datetime

import pytest

from deftunes.core import layout
from deftunes.core.entities import Entity
from deftunes.core.interval import Interval
from deftunes.load.changes import Changes
from deftunes.load.stage import _apply
from deftunes.state.manifest import Manifest
from support.redshift import RecordingConnection

INTERVAL = Interval(date(2025, 1, 1), date(2025, 1, 2))


def two_batches(entity: Entity) -> Changes:
    """Two batches of one day that are not loaded yet."""
    landing = layout.landing_key(entity, layout.SNAPSHOT, datetime(2025, 1, 1, tzinfo=UTC), 0, "0" * 64)
    manifests = tuple(
        Manifest(
            entity=entity, batch_id=batch, interval=INTERVAL, landings={layout.SNAPSHOT: landing}, rules="",
            parent=None, days=tuple(INTERVAL.days()),
        )
        for batch in ("a", "b")
    )  # fmt: skip
    return Changes(head=2, batch_id="b", everything=False, manifests=manifests)


@pytest.mark.parametrize(("entity", "statements"), [(Entity.SONGS, 2), (Entity.USERS, 4), (Entity.SESSIONS, 2)])
def test_every_statement_parses_as_redshift(entity: Entity, statements: int) -> None:
    connection = RecordingConnection((2,))
    assert _apply(connection, entity, None, two_batches(entity)) == 0  # type: ignore[arg-type]
    connection.assert_redshift(at_least=statements)
