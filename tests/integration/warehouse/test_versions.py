"""Other versions of PostgreSQL as the warehouse, where this machine has them.

Debian's are found; DEFTUNES_REQUIRE_POSTGRES names more folders of programs, divided by colons.
"""

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from deftunes.core.entities import Entity
from support.cluster import Cluster, other_binaries
from support.gold import assert_gold_matches_silver
from support.silver import T0, session_item, song_row
from support.warehouse import WarehousePipeline

DAY = timedelta(days=1)
D1, D3 = T0.date(), T0.date() + 2 * DAY


@pytest.fixture(params=other_binaries(), ids=str)
def other(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    binaries: Path = request.param
    cluster = Cluster(binaries)
    yield cluster
    cluster.close()


def test_gold_is_the_same(other: Cluster, end_of: Callable[..., WarehousePipeline]) -> None:
    assert other.major >= 13
    end = end_of(other.dsn())
    end.load()
    assert end.model(D1, D3).everything
    assert_gold_matches_silver(end.warehouse, end.silver.rows)
    end.silver.upsert_songs([song_row(1, title="new"), song_row(4)])
    end.silver.replace_days({D1: [session_item(1, 1, at=T0), session_item(3, at=T0, buyer=1)]})
    assert [loaded.changed for loaded in end.load()] == [True, False, True]
    assert not end.model(D1, D3).everything
    assert_gold_matches_silver(end.warehouse, end.silver.rows)
    end.model(D1, D3, everything=True)
    assert_gold_matches_silver(end.warehouse, end.silver.rows)
    assert end.load(Entity.SONGS)[0].changed is False
