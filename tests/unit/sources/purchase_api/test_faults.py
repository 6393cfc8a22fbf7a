"""Which request a fault strikes."""

from purchase_api.faults import Fault, FaultList, Faults, Kind

URL = "http://api/sessions?start_date=2020-01-01&end_date=2020-01-01"


def switched(*faults: Fault, seed: int = 1) -> Faults:
    all_of_them = Faults(seed)
    all_of_them.switch(FaultList(faults=list(faults)))
    return all_of_them


def struck(faults: Faults, url: str = URL, path: str = "/sessions") -> Kind | None:
    fault, _ = faults.strike(path, url)
    return fault and fault.kind


def test_nothing_is_struck_by_default() -> None:
    assert struck(Faults(1)) is None


def test_the_next_requests_are_struck_after_some_are_spared() -> None:
    faults = switched(Fault(kind=Kind.RESET, after=2, requests=3))
    assert [struck(faults) for _ in range(7)] == [None] * 2 + [Kind.RESET] * 3 + [None] * 2
    assert (faults.to_json()["struck"], faults.to_json()["requests"]) == (3, 7)


def test_a_fault_keeps_to_its_path() -> None:
    faults = switched(Fault(kind=Kind.HTML, path="/users"))
    assert struck(faults) is None
    assert struck(faults, "http://api/users", "/users") is Kind.HTML


def test_of_several_the_first_strikes() -> None:
    faults = switched(Fault(kind=Kind.RESET, requests=1), Fault(kind=Kind.SLOW))
    assert [struck(faults) for _ in range(3)] == [Kind.RESET, Kind.SLOW, Kind.SLOW]


def test_chance_does_not_depend_on_the_order_of_requests() -> None:
    urls = [f"http://api/sessions?start_date=2020-01-{day:02}" for day in range(1, 29)]
    forth, back = (switched(Fault(kind=Kind.STATUS, probability=0.5)) for _ in range(2))
    first = {url: [struck(forth, url) for _ in range(3)] for url in urls}
    second = {url: [struck(back, url) for _ in range(3)] for url in reversed(urls)}
    assert first == second
    hits = sum(kind is not None for kinds in first.values() for kind in kinds)
    assert 20 < hits < 64
    other = switched(Fault(kind=Kind.STATUS, probability=0.5), seed=2)
    assert {url: [struck(other, url) for _ in range(3)] for url in urls} != first


def test_switching_starts_the_counting_again() -> None:
    faults = switched(Fault(kind=Kind.RESET, requests=1))
    assert struck(faults) is Kind.RESET
    faults.switch(FaultList(faults=[Fault(kind=Kind.RESET, requests=1)]))
    assert faults.to_json()["struck"] == 0
    assert struck(faults) is Kind.RESET
