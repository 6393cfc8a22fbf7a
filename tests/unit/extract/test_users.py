import json
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest

from deftunes.adapters.http import PurchaseApi
from deftunes.core import layout
from deftunes.core.entities import Entity
from deftunes.core.errors import DeftunesError, RefusedError, RetriableError
from deftunes.core.interval import Interval
from deftunes.extract.landed import Landed
from deftunes.extract.users import land_users
from deftunes.state.landings import Landings
from support.api import NOW, Reply, StubApi, json_reply
from support.lakes import MemoryLake, landed_records

INTERVAL = Interval(date(2026, 1, 1), date(2026, 1, 2))


def user(number: int, **changes: object) -> dict[str, Any]:
    return {
        "user_id": f"{number:036}",
        "user_name": "Zoë",
        "user_lastname": "Ng",
        "user_location": ["48.85341", "2.3488", "Paris", "FR", "Europe/Paris"],
        "user_since": "2020-01-01T00:00:00",
        **changes,
    }


USERS = [user(number) for number in range(10)]


def land(stub: StubApi, lake: MemoryLake, reply: Reply, **options: Any) -> Landed:
    stub.script = [reply]
    with PurchaseApi(stub.url, budget=0, timeout=5, now=lambda: NOW) as api:
        return land_users(api, Landings(lake, Entity.USERS), INTERVAL, **{"max_shrink": 0.2, **options})


def in_use(lake: MemoryLake) -> list[bytes]:
    """The records of the landing in use, as they are stored."""
    receipt = Landings(lake, Entity.USERS).in_use(layout.SNAPSHOT)
    assert receipt
    return landed_records(lake, receipt)


def test_the_list_is_landed_as_sent_with_its_receipt(stub: StubApi, lake: MemoryLake) -> None:
    body = b'[{"user_id":"a", "user_name": "Zo\\u00eb", "score":1.10},\n {"user_since":1}, 17]'

    landed = land(stub, lake, Reply(body))

    assert in_use(lake) == [b'{"user_id":"a", "user_name": "Zo\\u00eb", "score":1.10}', b'{"user_since":1}', b"17"]
    receipt = Landings(lake, Entity.USERS).in_use(layout.SNAPSHOT)
    assert receipt
    assert (receipt.rows, receipt.requests, receipt.interval) == (3, ("GET /users",), INTERVAL)
    assert receipt.extracted_at == landed.extracted_at == datetime(2026, 1, 1, 12, tzinfo=UTC)
    assert landed == Landed(
        entity=Entity.USERS, interval=INTERVAL, extracted_at=datetime(2026, 1, 1, 12, tzinfo=UTC),
        written=("snapshot",), unchanged=(), rows=3, bytes=len(body), tries=1, notes=(),
    )  # fmt: skip


def test_no_users_is_a_success(stub: StubApi, lake: MemoryLake) -> None:
    assert land(stub, lake, json_reply()).written == ("snapshot",)
    assert in_use(lake) == []


def test_the_same_users_in_another_order_write_nothing(stub: StubApi, lake: MemoryLake) -> None:
    land(stub, lake, json_reply(*USERS))
    before = dict(lake.objects)

    landed = land(stub, lake, json_reply(*USERS[::-1], date="Fri, 02 Jan 2026 12:00:00 GMT"))

    assert (landed.written, landed.unchanged) == ((), ("snapshot",))
    assert landed.extracted_at == datetime(2026, 1, 1, 12, tzinfo=UTC)
    assert lake.objects == before


def test_an_answer_older_than_the_landing_in_use_is_told_of_and_not_called_written(
    stub: StubApi, lake: MemoryLake
) -> None:
    land(stub, lake, json_reply(*USERS, date="Fri, 02 Jan 2026 12:00:00 GMT"))
    used = in_use(lake)

    landed = land(stub, lake, json_reply(*USERS, user(10), date="Fri, 02 Jan 2026 11:00:00 GMT"))

    assert (landed.written, landed.unchanged) == ((), ())
    (note,) = landed.notes
    assert all(instant in note for instant in ("2026-01-02T11:00:00+00:00", "2026-01-02T12:00:00+00:00"))
    assert "extract again after that instant" in note
    assert in_use(lake) == used

    landed = land(stub, lake, json_reply(*USERS, user(10), date="Fri, 02 Jan 2026 12:00:01 GMT"))

    assert (landed.written, landed.notes) == (("snapshot",), ())


def misdate(lake: MemoryLake, unit: str = layout.SNAPSHOT) -> str:
    """Date the newest landing of a unit in 2060, as an earlier release would have done by its source's clock."""
    entity = Entity.USERS if unit == layout.SNAPSHOT else Entity.SESSIONS
    receipt = Landings(lake, entity).in_use(unit)
    assert receipt
    wrong = replace(receipt, extracted_at=datetime(2060, 12, 31, tzinfo=UTC))
    for key in [key for key in lake.objects if key.startswith(receipt.key)]:
        lake.objects[key.replace(receipt.key, wrong.key)] = lake.objects.pop(key)
    stored = json.dumps(wrong.to_json()).replace(receipt.key, wrong.key)
    lake.objects[f"{wrong.key}/{layout.RECEIPT}"] = stored.encode()
    return wrong.key


@pytest.mark.parametrize("changed", [True, False])
def test_a_landing_dated_in_the_future_shuts_out_nothing(stub: StubApi, lake: MemoryLake, changed: bool) -> None:
    land(stub, lake, json_reply(*USERS, date="Thu, 01 Jan 2026 11:00:00 GMT"))
    land(stub, lake, json_reply(*USERS, user(10)))
    misdated = misdate(lake)
    sent = [*USERS, user(11 if changed else 10)]

    landed = land(stub, lake, json_reply(*sent, date="Fri, 02 Jan 2026 12:00:00 GMT"))

    assert landed.written == ("snapshot",)
    assert misdated in landed.notes[0]
    receipt = Landings(lake, Entity.USERS).in_use(layout.SNAPSHOT)
    assert receipt
    assert receipt.extracted_at == datetime(2026, 1, 2, 12, tzinfo=UTC)
    assert f"{misdated}/{layout.RECEIPT}" in lake.objects  # nothing is deleted

    again = land(stub, lake, json_reply(*sent, date="Sat, 03 Jan 2026 12:00:00 GMT"))

    assert (again.written, again.notes) == ((), ())
    assert land(stub, lake, json_reply(*sent, user(12), date="Sat, 03 Jan 2026 12:00:00 GMT")).written == ("snapshot",)


def test_the_good_landing_before_one_that_is_withdrawn_is_in_use_again(stub: StubApi, lake: MemoryLake) -> None:
    land(stub, lake, json_reply(*USERS))
    good = Landings(lake, Entity.USERS).in_use(layout.SNAPSHOT)
    land(stub, lake, json_reply(*USERS, user(10), date="Thu, 01 Jan 2026 13:00:00 GMT"))
    misdate(lake)

    landed = land(stub, lake, json_reply(*USERS, date="Fri, 02 Jan 2026 12:00:00 GMT"))

    assert (landed.written, landed.unchanged, len(landed.notes)) == ((), ("snapshot",), 1)
    assert Landings(lake, Entity.USERS).in_use(layout.SNAPSHOT) == good


def test_an_answer_of_long_before_the_landing_in_use_is_refused(stub: StubApi, lake: MemoryLake) -> None:
    land(stub, lake, json_reply(*USERS))
    before = dict(lake.objects)
    reset = "Thu, 01 Jan 1970 00:00:10 GMT"

    with pytest.raises(RefusedError, match=r"of 2026-01-01.*got one of 1970-01-01.*DEFTUNES_HTTP_DATE=false"):
        land(stub, lake, json_reply(*USERS, user(10), date=reset))
    assert lake.objects == before
    assert land(stub, lake, json_reply(*USERS, date=reset)).unchanged == ("snapshot",)  # nothing that could get lost

    stub.script = [json_reply(*USERS, user(10), date=reset)]
    with PurchaseApi(stub.url, budget=0, timeout=5, dated=False, now=lambda: NOW) as api:
        landed = land_users(api, Landings(lake, Entity.USERS), INTERVAL, max_shrink=0.2)
    assert (landed.written, landed.extracted_at) == (("snapshot",), NOW)


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Reply(status=503), RetriableError),
        (Reply(b'[{"user_name":1},'), RetriableError),
        (Reply(b"<html></html>"), DeftunesError),
        (Reply(b""), DeftunesError),
        (Reply(b"[1,2,3,4,5,6,7,8,9,10,11]"), DeftunesError),
        (json_reply(*({"session_id": "s", "user_id": "u"} for _ in USERS)), DeftunesError),
        (json_reply(), RefusedError),
        (json_reply(*USERS[:7]), RefusedError),
    ],
    ids=str,
)
def test_a_broken_source_changes_nothing(
    stub: StubApi, lake: MemoryLake, reply: Reply, kind: type[DeftunesError]
) -> None:
    land(stub, lake, json_reply(*USERS))
    before = dict(lake.objects)

    with pytest.raises(kind) as caught:
        land(stub, lake, reply)

    assert type(caught.value) is kind
    assert lake.objects == before


def test_a_shrunk_list_is_refused_with_both_numbers_and_the_flag_that_accepts_it(
    stub: StubApi, lake: MemoryLake
) -> None:
    land(stub, lake, json_reply(*USERS))
    shrunk = json_reply(*USERS[:7], date="Fri, 02 Jan 2026 12:00:00 GMT")

    with pytest.raises(RefusedError, match=r"80% of the 10 rows.*got 7.*--accept-shrink"):
        land(stub, lake, shrunk)
    assert land(stub, lake, shrunk, accept_shrink=True).rows == len(in_use(lake)) == 7


def test_a_loss_within_the_share_is_accepted(stub: StubApi, lake: MemoryLake) -> None:
    land(stub, lake, json_reply(*USERS))

    assert land(stub, lake, json_reply(*USERS[:8], date="Fri, 02 Jan 2026 12:00:00 GMT")).written == ("snapshot",)
