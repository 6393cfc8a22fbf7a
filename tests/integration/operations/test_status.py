"""`deftunes status`: what it counts, and that counting does not read what it counts."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from pyiceberg.table import Table

from deftunes.core import layout
from deftunes.core.stages import PipelineName
from deftunes.operations.status import entity_states
from support.pipeline import OPENING, Pipeline, new_pipeline
from support.shop import Shop, open_shop

if TYPE_CHECKING:
    from support.stack import Stack


@pytest.fixture
def shop() -> Iterator[Shop]:
    with open_shop() as shop:
        shop.upsert_user(1)
        shop.upsert_user(2, user_name=None)
        shop.sell(1, f"{OPENING}T12:00:00Z", 0.99, 99, 98)
        yield shop


@pytest.fixture
def pipeline(stack: "Stack", shop: Shop) -> Pipeline:
    return new_pipeline(stack, shop.url, songs=0, look_back=0, max_rejected=1.0)


def test_rejected_records_are_counted_without_their_texts(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline.run_until_published((0, 1), PipelineName.API)
    scan, read = Table.scan, []

    def watched(self: Table, *arguments: Any, **options: Any) -> Any:
        if self.name()[-1] == layout.QUARANTINE:
            read.append(options["selected_fields"])
        return scan(self, *arguments, **options)

    monkeypatch.setattr(Table, "scan", watched)
    with pipeline.resources() as resources:
        states = entity_states(resources)
    assert {state["entity"]: state["in_quarantine"] for state in states} == {"songs": 0, "users": 1, "sessions": 2}
    assert read == [("entity",)]
