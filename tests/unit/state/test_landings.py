import hashlib
import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random

import pytest

from deftunes.core import layout
from deftunes.core.entities import Entity
from deftunes.core.errors import DeftunesError
from deftunes.core.interval import ONE_DAY, Interval
from deftunes.state.landings import Committed, Draft, Landings, Receipt, digest_of
from support.lakes import MemoryLake

DAY = date(2026, 1, 5)
NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
INTERVAL = Interval(DAY, DAY + ONE_DAY)


@pytest.fixture
def lake() -> MemoryLake:
    return MemoryLake()


@pytest.fixture
def landings(lake: MemoryLake) -> Landings:
    return Landings(lake, Entity.SESSIONS)


def draft(folder: Path, content: str, at: datetime = NOON, unit: str = layout.day_unit(DAY)) -> Draft:
    path = folder / "part-00000.jsonl.gz"
    path.write_text(content)
    return Draft(unit, at, hashlib.sha256(content.encode()).hexdigest(), 1, ((path, 1),), ("GET /sessions",), {"a": 1})


def test_a_landing_is_in_use_and_its_receipt_reads_back(landings: Landings, lake: MemoryLake, tmp_path: Path) -> None:
    committed = landings.commit(draft(tmp_path, "one"), INTERVAL)
    receipt = committed.receipt

    assert committed.new
    assert landings.in_use("2026-01-05") == receipt
    assert landings.read(receipt.key) == receipt == Receipt.from_json(json.loads(json.dumps(receipt.to_json())))
    (part,) = receipt.parts
    assert lake.objects[part.key] == b"one"
    assert (part.sha256, part.bytes) == (hashlib.sha256(b"one").hexdigest(), 3)


def test_the_same_content_again_writes_nothing_and_the_first_receipt_stays_in_use(
    landings: Landings, lake: MemoryLake, tmp_path: Path
) -> None:
    first = landings.commit(draft(tmp_path, "one"), INTERVAL).receipt
    before = dict(lake.objects)

    again = landings.commit(draft(tmp_path, "one", NOON + ONE_DAY), INTERVAL)

    assert again == Committed(first, new=False)
    assert lake.objects == before


def test_newer_content_takes_the_place_and_destroys_nothing(
    landings: Landings, lake: MemoryLake, tmp_path: Path
) -> None:
    landings.commit(draft(tmp_path, "one"), INTERVAL)
    before = dict(lake.objects)

    receipt = landings.commit(draft(tmp_path, "two", NOON + timedelta(seconds=1)), INTERVAL).receipt

    assert landings.in_use("2026-01-05") == receipt
    assert before.items() <= lake.objects.items()


def test_an_older_extract_is_written_and_not_in_use(landings: Landings, tmp_path: Path) -> None:
    newest = landings.commit(draft(tmp_path, "one"), INTERVAL).receipt

    older = landings.commit(draft(tmp_path, "two", NOON - timedelta(seconds=1)), INTERVAL)

    assert landings.in_use("2026-01-05") == newest
    assert (older.new, older.newer) == (True, newest)
    assert landings.read(older.receipt.key) == older.receipt


def test_a_landing_dated_too_late_is_withdrawn_when_another_counts(
    landings: Landings, lake: MemoryLake, tmp_path: Path
) -> None:
    until = NOON + ONE_DAY
    first = landings.commit(draft(tmp_path, "one"), INTERVAL, believed_until=until).receipt
    late = [landings.commit(draft(tmp_path, f"late {n}", NOON + n * ONE_DAY), INTERVAL).receipt for n in (2, 3)]
    before = dict(lake.objects)

    # Of the same instant as the first one, as a clock that stands still says.
    committed = landings.commit(draft(tmp_path, "two"), INTERVAL, believed_until=until)

    assert landings.in_use("2026-01-05") == committed.receipt
    assert (committed.new, committed.newer, committed.receipt.sequence) == (True, None, first.sequence + 1)
    assert list(committed.withdrawn) == landings.withdrawn("2026-01-05") == [receipt.key for receipt in late]
    assert before.items() <= lake.objects.items()
    again = landings.commit(draft(tmp_path, "two"), INTERVAL, believed_until=until)
    assert (again.new, again.withdrawn) == (False, ())


def test_a_withdrawal_that_was_cut_off_is_made_up_for(landings: Landings, lake: MemoryLake, tmp_path: Path) -> None:
    late = landings.commit(draft(tmp_path, "late", NOON + 2 * ONE_DAY), INTERVAL).receipt
    good = landings.commit(draft(tmp_path, "one"), INTERVAL, believed_until=NOON + ONE_DAY).receipt
    del lake.objects[f"{late.key}/{layout.WITHDRAWN}"]
    assert landings.in_use("2026-01-05") == late

    committed = landings.commit(draft(tmp_path, "one"), INTERVAL, believed_until=NOON + ONE_DAY)

    assert (committed.receipt, committed.new, committed.withdrawn) == (good, False, (late.key,))
    assert landings.in_use("2026-01-05") == good


def test_of_two_landings_of_one_instant_the_later_written_is_used(landings: Landings, tmp_path: Path) -> None:
    for content in ("one", "two", "one", "two"):
        committed = landings.commit(draft(tmp_path, content), INTERVAL)
        assert (committed.new, committed.newer) == (True, None)
        assert landings.in_use("2026-01-05") == committed.receipt


def test_without_a_receipt_there_is_no_landing(landings: Landings, lake: MemoryLake, tmp_path: Path) -> None:
    good = landings.commit(draft(tmp_path, "one"), INTERVAL).receipt
    killed = landings.commit(draft(tmp_path, "two", NOON + ONE_DAY), INTERVAL).receipt
    del lake.objects[f"{killed.key}/{layout.RECEIPT}"]

    assert landings.in_use("2026-01-05") == good

    rerun = landings.commit(draft(tmp_path, "two", NOON + ONE_DAY), INTERVAL)
    assert rerun.new
    assert rerun.receipt == killed == landings.in_use("2026-01-05")


def test_an_interval_holds_its_days_with_their_undated_records_and_no_others(
    landings: Landings, tmp_path: Path
) -> None:
    days = [DAY + timedelta(days=number) for number in range(-2, 4)]
    for day in days:
        for unit in (layout.day_unit(day), layout.undated_unit(day)):
            landings.commit(draft(tmp_path, unit, unit=unit), INTERVAL)

    found = landings.in_use_between(Interval(DAY, DAY + 2 * ONE_DAY))

    assert list(found) == ["2026-01-05", "2026-01-05~unplaced", "2026-01-06", "2026-01-06~unplaced"]
    assert {layout.day_of_unit(unit) for unit in found} == {DAY, DAY + ONE_DAY}


def test_entities_do_not_see_each_other(landings: Landings, lake: MemoryLake, tmp_path: Path) -> None:
    landings.commit(draft(tmp_path, "one", unit=layout.SNAPSHOT), INTERVAL)

    assert Landings(lake, Entity.USERS).in_use(layout.SNAPSHOT) is None


def test_the_digest_depends_on_how_often_a_record_occurs_and_not_on_order() -> None:
    digests = [hashlib.sha256(bytes([number])).digest() for number in range(9)]
    shuffled = Random(1).sample(digests, len(digests))

    assert digest_of(shuffled) == digest_of(digests)
    assert digest_of([*digests, digests[0]]) != digest_of(digests)
    assert digest_of([]) == hashlib.sha256().hexdigest()


@pytest.mark.parametrize("name", ["old", "20260105T120000.000000Z-0000-XYZ", "20260105", ""])
def test_what_somebody_put_beside_the_landings_is_passed_over(
    landings: Landings, lake: MemoryLake, tmp_path: Path, name: str
) -> None:
    receipt = landings.commit(draft(tmp_path, "one"), INTERVAL).receipt
    folder = f"landing/sessions/2026-01-05/{name}".rstrip("/")
    lake.put(f"{folder}/{layout.RECEIPT}", b"not even JSON")
    assert landings.in_use_between(INTERVAL) == {"2026-01-05": receipt}
    assert landings.in_use("2026-01-05") == receipt
    assert landings.commit(draft(tmp_path, "one"), INTERVAL, believed_until=NOON + ONE_DAY).receipt == receipt


@pytest.mark.parametrize(
    "change", [{"rows": None}, {"interval": 3}, {"parts": [{"key": "k"}]}, {"extracted_at": "noon"}]
)
def test_a_receipt_that_was_changed_by_hand_is_named(
    landings: Landings, lake: MemoryLake, tmp_path: Path, change: dict[str, object]
) -> None:
    receipt = landings.commit(draft(tmp_path, "one"), INTERVAL).receipt
    stored = {name: value for name, value in {**receipt.to_json(), **change}.items() if value is not None}
    lake.put_json(f"{receipt.key}/{layout.RECEIPT}", stored)
    with pytest.raises(DeftunesError, match=rf"expected a receipt at .*{receipt.key}/receipt.json.*Restore the object"):
        landings.in_use("2026-01-05")
