"""First causes first: a run record that S3 refuses hides neither what was done nor what failed."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.retries.standard import ExponentialBackoff

from deftunes.adapters.lake import open_lake
from deftunes.cli.common import report
from deftunes.core.entities import Entity
from deftunes.core.errors import DeftunesError, RefusedError, RetriableError
from deftunes.core.interval import Interval
from deftunes.core.settings import Settings
from deftunes.core.stages import Stage
from deftunes.pipeline import Outcome
from support.faulty_s3 import FaultyS3

INTERVAL = Interval(date(2020, 1, 1), date(2020, 1, 2))


@dataclass(frozen=True)
class Done:
    rows: int = 7


@pytest.fixture(params=[("AccessDenied", 403), ("SlowDown", 503)], ids=["refused", "busy"])
def resources(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A lake whose S3 takes no run record."""
    monkeypatch.setattr(ExponentialBackoff, "delay_amount", lambda *_: 0)
    with FaultyS3() as s3:
        s3.fail(*request.param)
        keys = {"lake_access_key_id": "a-key", "lake_secret_access_key": "s3cret-key"}
        yield SimpleNamespace(
            at=None,
            lake=open_lake(Settings.model_validate({"lake": "s3://lake", "aws_endpoint_url_s3": s3.url, **keys})),
        )


@pytest.mark.parametrize("first", [DeftunesError("the API said 404"), RefusedError("shrank"), RetriableError("lost")])
def test_the_failure_before_it_is_told(
    resources: Any, first: DeftunesError, capsys: pytest.CaptureFixture[str]
) -> None:
    def outcomes() -> Iterator[Outcome]:
        yield Outcome(Stage.EXTRACT, Entity.USERS, Done())
        raise first

    with pytest.raises(DeftunesError) as failed:
        report(resources, outcomes(), INTERVAL, as_json=False, has_warehouse=False)
    assert failed.value is first
    told = capsys.readouterr().err
    assert told.index("rows 7") < told.index("`deftunes status` will not show this run")


def test_what_nobody_foresaw_is_told_too(resources: Any) -> None:
    def outcomes() -> Iterator[Outcome]:
        yield from ()
        raise OverflowError("date value out of range")

    with pytest.raises(DeftunesError, match=r"unexpected OverflowError at cli/test_run_record\.py") as failed:
        report(resources, outcomes(), INTERVAL, as_json=False, has_warehouse=False)
    assert failed.value.exit_code == 1


def test_what_was_done_stays_done(resources: Any, capsys: pytest.CaptureFixture[str]) -> None:
    outcomes = [Outcome(Stage.EXTRACT, entity, Done()) for entity in (Entity.USERS, Entity.SESSIONS)]
    assert report(resources, outcomes, INTERVAL, as_json=True, has_warehouse=False) == outcomes
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 2
    assert err.count("`deftunes status` will not show this run of extract: S3") == 2


class _Warehouse:
    """One that cannot be reached."""

    def hold(self, *, exclusive: bool) -> Any:
        raise RetriableError(f"no answer, exclusive: {exclusive}")


@pytest.fixture
def without_warehouse() -> Any:
    """A lake that takes run records, and a warehouse that does not answer."""
    records: dict[str, Any] = {}
    return SimpleNamespace(
        at=None,
        lake=SimpleNamespace(put_json=records.__setitem__),
        catalog=None,
        warehouse=_Warehouse(),
        records=records,
    )


def test_a_warehouse_that_cannot_be_told_changes_no_ending(
    without_warehouse: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    outcomes = [Outcome(Stage.LOAD, Entity.USERS, Done())]
    assert report(without_warehouse, outcomes, INTERVAL, as_json=True, has_warehouse=True) == outcomes
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 1
    assert "reaches the BI views with the next run: no answer, exclusive: False" in err


def test_a_failure_is_recorded_under_its_stage_and_stays_the_failure(
    without_warehouse: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    def outcomes() -> Iterator[Outcome]:
        without_warehouse.at = (Stage.LOAD, Entity.USERS)
        yield from ()
        raise RefusedError("shrank")

    with pytest.raises(RefusedError, match="shrank"):
        report(without_warehouse, outcomes(), INTERVAL, as_json=True, has_warehouse=True)
    assert "no answer" in capsys.readouterr().err
    (record,) = without_warehouse.records.values()
    assert (record["stage"], record["entity"], record["exit"]) == ("load", "users", 3)


def test_a_process_without_the_warehouse_does_not_ask_for_it(without_warehouse: Any) -> None:
    without_warehouse.warehouse = None
    report(
        without_warehouse, [Outcome(Stage.EXTRACT, Entity.SONGS, Done())], INTERVAL, as_json=True, has_warehouse=False
    )
