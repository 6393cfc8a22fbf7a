"""`/simulator`: the switches of the simulator, and the shop's own sums."""

from datetime import date

from fastapi import APIRouter

from purchase_api import times
from purchase_api.faults import FaultList, Faults
from purchase_api.shop import Shop
from purchase_api.state import BadRecords, Behaviour, Clock


def control_routes(shop: Shop, faults: Faults) -> APIRouter:
    """The routes to switch what a shop does."""
    state = shop.state
    routes = APIRouter(prefix="/simulator", tags=["simulator"])

    @routes.get("/clock", summary="The logical clock")
    async def get_clock() -> dict[str, str]:
        return {"now": times.moment_of(state.now).isoformat()}

    @routes.put("/clock", summary="Move the logical clock")
    async def put_clock(clock: Clock) -> dict[str, str]:
        state.now = times.instant_of(clock.now)
        return await get_clock()

    @routes.get("/faults", summary="What goes wrong, and how often it did")
    async def get_faults() -> dict[str, object]:
        return faults.to_json()

    @routes.put("/faults", summary="Make things go wrong")
    async def put_faults(wanted: FaultList) -> dict[str, object]:
        faults.switch(wanted)
        return faults.to_json()

    @routes.get("/bad-records", summary="Bad records that come beside the good ones")
    async def get_bad_records() -> BadRecords:
        return state.bad_records

    @routes.put("/bad-records", summary="Add bad records")
    async def put_bad_records(wanted: BadRecords) -> BadRecords:
        state.bad_records = wanted
        return state.bad_records

    @routes.get("/behaviour", summary="Habits that the documentation leaves open")
    async def get_behaviour() -> Behaviour:
        return state.behaviour

    @routes.put("/behaviour", summary="Change habits")
    async def put_behaviour(wanted: Behaviour) -> Behaviour:
        state.behaviour = wanted
        return state.behaviour

    @routes.get("/truth", summary="The shop's own sums over [start_date, end_date)")
    def truth(start_date: date, end_date: date) -> dict[str, object]:
        return shop.truth(start_date, end_date, state.now)

    return routes
