"""The API: `/users` and `/sessions` as the shop documents them, and `/simulator` to switch what it does.

Every answer is a function of the seed, the logical clock and what is switched on; its `Date` is the logical clock.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from datetime import UTC, date, timedelta
from email.utils import format_datetime
from random import Random
from typing import Annotated

from fastapi import FastAPI, HTTPException, Query, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from purchase_api import times
from purchase_api.answer import Answer, as_array
from purchase_api.control import control_routes
from purchase_api.errors import SimulatorError
from purchase_api.faults import Fault, Faults, Kind
from purchase_api.people import write_record
from purchase_api.shop import Records, Shop

_ONE_DAY = timedelta(days=1)
StartDate = Annotated[date | None, Query(description="first day, UTC")]
EndDate = Annotated[date | None, Query(description="last day, UTC")]
Cursor = Annotated[str | None, Query(description="of a next page, as the Link header gave it")]


def create_app(shop: Shop) -> ASGIApp:
    """The application for one shop."""
    faults = Faults(shop.plan.seed)
    app = FastAPI(
        title="DeFtunes Purchase API (simulator)",
        description=f"Users and sessions of a made-up shop, {shop.plan}. For development and tests.",
        version="1",
    )

    @app.get("/health", summary="Is it up")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/users", summary="Users; with dates those who joined then", response_class=Response)
    async def users(
        request: Request, start_date: StartDate = None, end_date: EndDate = None, cursor: Cursor = None
    ) -> Response:
        now, _, offset = _read_cursor(cursor, shop.state.now)
        if start_date is None and end_date is None:
            records = await shop.users(now)
        else:
            records = _joined_between(shop, now, start_date or date.min, end_date or date.max)
        return await _answer(request, shop, faults, [records], (now, 0, offset))

    @app.get("/sessions", summary="Sessions of some days", response_class=Response)
    async def sessions(request: Request, start_date: date, end_date: date, cursor: Cursor = None) -> Response:
        if end_date < start_date:
            raise HTTPException(422, f"expected end_date not before start_date, got {start_date} and {end_date}")
        await shop.open()
        stop = _stop(shop, end_date)
        shop.state.asked_until(stop)
        now, place, offset = _read_cursor(cursor, shop.state.now)
        days = _days(shop, start_date, stop, now)
        return await _answer(request, shop, faults, days, (now, place, offset))

    @app.exception_handler(SimulatorError)
    async def unavailable(_: Request, error: SimulatorError) -> JSONResponse:
        return JSONResponse({"detail": str(error)}, 503)

    app.include_router(control_routes(shop, faults))
    return _Dated(app, shop)


async def _answer(
    request: Request, shop: Shop, faults: Faults, days: Sequence[date | Records], at: tuple[int, int, int]
) -> Response:
    now, place, offset = at
    url = str(request.url)
    headers = {"date": _http_date(now)}
    fault, chance = faults.strike(request.url.path, url)
    if fault and (instead := _instead(fault, headers)):
        return instead
    if fault and fault.kind is Kind.WRONG_RECORDS:
        days = [await shop.users(now)] if request.url.path == "/sessions" else [shop.plan.start]
    size = shop.state.behaviour.page_size
    batches = _batches(shop, days, now, place, offset)
    if size is not None:
        page, following = await _page(shop, days, at, size)
        batches = _one(page)
        if following is not None:
            cursor = f"{now}~{following[0]}~{following[1]}"
            headers["link"] = f'<{request.url.include_query_params(cursor=cursor)}>; rel="next"'
    if fault and fault.kind is Kind.SHORT:
        batches = _shortened(batches, fault.share, chance)
    return Answer(as_array(batches), headers, fault)


def _instead(fault: Fault, headers: dict[str, str]) -> Response | None:
    """The answer that a fault gives without looking at the data."""
    if fault.kind is Kind.STATUS:
        extra = {} if fault.retry_after is None else {"retry-after": fault.retry_after}
        return JSONResponse({"detail": "simulated"}, fault.status, {**headers, **extra})
    if fault.kind is Kind.HTML:
        return HTMLResponse("<!doctype html><title>Welcome</title><p>Please sign in.", headers=headers)
    body = {
        Kind.ERROR_OBJECT: b'{"error":{"code":1234,"message":"simulated"}}',
        Kind.EMPTY_BODY: b"",
        Kind.EMPTY_ARRAY: b"[]",
        Kind.WRONG_VALUES: b"[1,2,3]",
    }.get(fault.kind)
    return None if body is None else Response(body, headers=headers, media_type="application/json")


async def _batches(
    shop: Shop, days: Sequence[date | Records], now: int, place: int = 0, offset: int = 0
) -> AsyncIterator[Records]:
    for day in days[place:]:
        records = await shop.sessions(day, now) if isinstance(day, date) else day
        yield records[offset:] if offset else records
        offset = 0


async def _one(records: Records) -> AsyncIterator[Records]:
    yield records


async def _shortened(batches: AsyncIterator[Records], share: float, chance: Random) -> AsyncIterator[Records]:
    async for records in batches:
        yield [record for record in records if chance.random() >= share]


async def _page(
    shop: Shop, days: Sequence[date | Records], at: tuple[int, int, int], size: int
) -> tuple[Records, tuple[int, int] | None]:
    """Up to `size` records from a place (instant, number of the day, number in the day), and the next one's place."""
    page: Records = []
    now, number, offset = at
    async for records in _batches(shop, days, now, number, offset):
        if records and len(page) == size:
            return page, (number, 0)
        taken = records[: size - len(page)]
        page += taken
        if len(taken) < len(records):
            return page, (number, offset + len(taken))
        number, offset = number + 1, 0
    return page, None


def _read_cursor(cursor: str | None, now: int) -> tuple[int, int, int]:
    """(the instant the first page was asked for, day, offset): later pages must not see what happened meanwhile."""
    if cursor is None:
        return now, 0, 0
    with suppress(ValueError):
        at, place, offset = map(int, cursor.split("~"))
        return at, place, offset
    raise HTTPException(422, f"expected a cursor out of a Link header, got {cursor!r}")


def _stop(shop: Shop, end_date: date) -> date:
    inclusive = shop.state.behaviour.end_date == "inclusive"
    return end_date + _ONE_DAY if inclusive and end_date < date.max else end_date


def _days(shop: Shop, start: date, stop: date, now: int) -> list[date]:
    first = max(start, shop.plan.start)
    known = min(stop, times.day_of(now) + _ONE_DAY)
    days = [first + timedelta(days=number) for number in range((known - first).days)]
    Random(f"{shop.plan.seed}/{start}/{stop}/{shop.state.behaviour.shuffle}").shuffle(days)
    return days


def _joined_between(shop: Shop, now: int, start: date, end: date) -> Records:
    stop = _stop(shop, end)
    return [
        write_record(person.record(now))
        for person in shop.listed(now)
        if start <= (joined := times.day_of(person.user_since)) and (joined < stop or end == date.max)
    ]


def _http_date(now: int) -> str:
    return format_datetime(times.moment_of(now).replace(microsecond=0).astimezone(UTC), usegmt=True)


class _Dated:
    """Every answer carries the logical clock as its `Date`."""

    def __init__(self, app: ASGIApp, shop: Shop) -> None:
        self._app = app
        self._shop = shop

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_dated(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = list(message["headers"])
                if not any(name == b"date" for name, _ in headers):
                    headers.append((b"date", _http_date(self._shop.state.now).encode()))
                message = {**message, "headers": headers}
            await send(message)

        await self._app(scope, receive, send_dated)
