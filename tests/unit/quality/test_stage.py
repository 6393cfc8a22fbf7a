"""Which share of rejected records stops a batch."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deftunes.core.entities import Entity
from deftunes.core.interval import Interval
from deftunes.quality.stage import _share_rejected
from deftunes.state.manifest import Manifest

INTERVAL = Interval(date(2025, 1, 1), date(2025, 1, 2))


def manifest(received: int, rejected: int, records: int | None, source_rows: int = 0) -> Manifest:
    return Manifest(
        entity=Entity.SONGS,
        batch_id="b",
        interval=INTERVAL,
        landings={},
        rules="r",
        parent=None,
        received=received,
        rejected=rejected,
        records_rejected=records,
        source_rows=source_rows,
    )


@given(st.integers(2, 1000), st.integers(0, 1000), st.floats(0, 1))
def test_more_records_than_one_stop_a_batch_above_the_share(received: int, rejected: int, share: float) -> None:
    rejected = min(rejected, received)
    outcome = _share_rejected(manifest(received, rejected, rejected), share)
    assert outcome.passed is (rejected / received <= share or (rejected == 1 and share > 0))


@pytest.mark.parametrize("items", [1, 1000])
def test_one_record_alone_stops_nothing_unless_none_is_allowed(items: int) -> None:
    assert _share_rejected(manifest(items + 29, items, 1), 0.05).passed
    assert _share_rejected(manifest(items, items, 1), 0.001).passed
    assert not _share_rejected(manifest(items + 29, items, 1), 0).passed
    # Two may stop it, and so may what a release counted that did not know how many records these items were of.
    assert not _share_rejected(manifest(20, 2, 2), 0.05).passed
    assert not _share_rejected(manifest(20, 2, None), 0.05).passed


def test_an_increment_counts_as_the_whole_source() -> None:
    outcome = _share_rejected(manifest(10, 4, 4, source_rows=1000), 0.05)
    assert outcome.passed
    assert outcome.detail == "4 of 1000 records rejected (0.40%)"
    assert not _share_rejected(manifest(100, 60, 60, source_rows=1000), 0.05).passed
    assert _share_rejected(manifest(0, 0, 0), 0).passed
