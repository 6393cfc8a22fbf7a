"""A busy S3: what it refuses for a moment is asked for again by each of its clients, and nothing is lost or doubled."""

import random
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from deftunes.core.entities import Entity
from support.engines import ENGINES
from support.faulty_s3 import RESET, FaultyS3
from support.gold import assert_gold_matches_silver
from support.pipeline import DAY, OPENING, Pipeline, new_pipeline
from support.shop import open_shop

if TYPE_CHECKING:
    from support.stack import Stack

DAYS, A_DAY = 2, 5


@pytest.fixture(params=ENGINES)
def pipeline(stack: "Stack", request: pytest.FixtureRequest) -> Iterator[Pipeline]:
    with open_shop() as shop:
        for number in range(DAYS * A_DAY):
            shop.upsert_user(number % 3)
            shop.sell(number, f"{OPENING + number // A_DAY * DAY}T12:00:00Z", 0.99, 0.5)
        yield new_pipeline(stack, shop.url, songs=40, look_back=0, engine=request.param)


def through(pipeline: Pipeline, s3: FaultyS3) -> dict[str, str]:
    """The settings under which a process finds the lake at `s3`, and all else where it is."""
    settings = pipeline.settings
    assert settings.lake
    assert settings.lake_access_key_id
    assert settings.lake_secret_access_key
    return {
        "DEFTUNES_LAKE": settings.lake,
        "DEFTUNES_LAKE_ACCESS_KEY_ID": settings.lake_access_key_id.get_secret_value(),
        "DEFTUNES_LAKE_SECRET_ACCESS_KEY": settings.lake_secret_access_key.get_secret_value(),
        "AWS_ENDPOINT_URL": settings.aws_endpoint_url or "",
        "AWS_ENDPOINT_URL_S3": s3.url,
    }


@pytest.mark.parametrize(("code", "status"), [("SlowDown", 503), (RESET, 0)])
def test_a_run_ends_right_or_asks_for_another(pipeline: Pipeline, code: str, status: int) -> None:
    """One request of twenty is refused: clients try again by themselves, or the command asks for another run."""
    chance = random.Random(7)
    with FaultyS3(pipeline.settings.aws_endpoint_url_s3) as s3:
        s3.fail(code, status, when=lambda *_: chance.random() < 0.05)
        for _ in range(3):
            ended = pipeline.command("run", "all", days=(0, DAYS), **through(pipeline, s3))
            assert ended.returncode in {0, 75}, ended.stderr
            if ended.returncode == 0:
                break
        assert ended.returncode == 0, ended.stderr
        assert s3.sent > 10, "else this test tries nothing"
    assert pipeline.query("select count(*) from deftunes_serving.fact_session") == [(DAYS * A_DAY * 2,)]
    with pipeline.resources() as resources:
        assert_gold_matches_silver(resources.warehouse, {entity: pipeline.silver(entity) for entity in Entity})
