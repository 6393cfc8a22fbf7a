"""Gold is a function of silver, whatever the way there was."""

import random
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from support.gold import assert_gold_matches_silver
from support.ids import artist_id
from support.silver import T0, Record, session_item, song_row, user_version
from support.warehouse import WarehousePipeline, new_warehouse_pipeline

if TYPE_CHECKING:
    from support.stack import Stack

DAY = timedelta(days=1)
D1 = T0.date()


@pytest.fixture
def pipeline(stack: "Stack", tmp_path_factory: pytest.TempPathFactory) -> WarehousePipeline:
    return new_warehouse_pipeline(stack, tmp_path_factory.getbasetemp() / "dbt")


@pytest.mark.parametrize("seed", [1, 2])
def test_any_history_ends_in_the_gold_of_its_silver(pipeline: WarehousePipeline, seed: int) -> None:
    chance = random.Random(seed)
    history = _History(chance)
    for step in range(7):
        change = history.step(pipeline, step)
        pipeline.load()
        if chance.random() < 0.3:
            continue  # killed before its model: the next one does the work
        start = D1 + DAY * chance.randrange(6)
        pipeline.model(start, start + DAY * chance.randrange(1, 4))
        assert_gold_matches_silver(
            pipeline.warehouse, pipeline.silver.rows, f"after {change} in step {step} of seed {seed}"
        )


class _History:
    """Few days, users, songs and artists, so that whatever can meet does."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.landing = T0

    def step(self, pipeline: WarehousePipeline, step: int) -> list[str]:
        kinds = self.chance.sample(("songs", "users", "users again", "sessions", "sessions"), 2)
        for kind in ["sessions"] if step == 0 else kinds:
            match kind:
                case "songs":
                    pipeline.silver.upsert_songs(self.songs())
                case "users":
                    self.landing += timedelta(hours=self.chance.randrange(1, 30))
                    pipeline.silver.replace_user_versions(self.users(), at=self.landing)
                case "users again":
                    pipeline.silver.replace_user_versions(self.users(), at=self.landing)
                case _:
                    days = sorted(D1 + DAY * day for day in self.chance.sample(range(6), self.chance.randrange(1, 4)))
                    sessions = self.chance.sample(range(15), 9)
                    pipeline.silver.replace_days({day: list(self.sales(day, sessions)) for day in days})
        return kinds

    def songs(self) -> list[Record]:
        return [
            song_row(
                track,
                artist_id=artist_id(self.chance.randrange(4)),
                artist_name=self.chance.choice(("a", "B", "b", "é", None)),
                year=self.chance.choice((0, 1999, 2000)),
                is_deleted=self.chance.random() < 0.2,
            )
            for track in self.chance.sample(range(8), self.chance.randrange(1, 5))
        ]

    def users(self) -> list[Record]:
        return [
            user_version(number, country_code=self.chance.choice(("BR", "DE", None)))
            for number in self.chance.sample(range(6), self.chance.randrange(5))
        ]

    def sales(self, day: date, sessions: list[int]) -> Iterator[Record]:
        for session in [sessions.pop() for _ in range(self.chance.randrange(4))]:
            at = datetime.fromisoformat(f"{day}T{self.chance.choice(('00:00:00', '12:00:00', '23:59:59.999999'))}Z")
            buyer = self.chance.randrange(6)
            for item in range(1, self.chance.randrange(2, 5)):
                yield session_item(
                    session,
                    item,
                    at=at,
                    buyer=buyer,
                    track=self.chance.randrange(10),
                    artist_id=artist_id(self.chance.randrange(6)),
                    artist_name=self.chance.choice(("x", "y", None)),
                    song_name=self.chance.choice(("s", "t", "")),
                    currency=self.chance.choice(("EUR", "USD")),
                    price=Decimal(self.chance.randrange(200)) / 100,
                    liked=self.chance.random() < 0.5,
                )
