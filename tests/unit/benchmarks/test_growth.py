from growth import growth_table
from home import Taken


def taken(model: float, seconds: float, mebibytes: int = 100) -> Taken:
    return Taken(seconds, mebibytes, java=False, processor=model * 3, stages={"extract": 1.0, "model": model})


def test_each_stage_is_compared_by_its_median() -> None:
    before = [taken(2, 5), taken(50, 60), taken(1, 4, 110)]
    after = [taken(4, 10), taken(4, 10, 220), taken(4, 10)]
    lines = growth_table("days", {"first 3": before, "last 3": after}, "").splitlines()
    assert lines[2].split() == ["seconds", "first", "3", "last", "3", "ratio"]
    shown = {line.split()[0]: line.split()[1:] for line in lines[3:]}
    assert shown["extract"] == ["1.00", "1.00", "1.00", "x"]
    assert shown["load"] == ["0.00", "0.00", "-"]
    assert shown["model"] == ["2.00", "4.00", "2.00", "x"]
    assert shown["all"] == ["5.00", "10.00", "2.00", "x"]
    assert shown["processor"] == ["6.00", "12.00", "2.00", "x"]
    assert shown["peak"] == ["MiB", "110", "220", "2.00", "x"]


def test_where_items_are_missing_nothing_is_compared() -> None:
    columns = {"first 1": [taken(1, 2)], "last 1": [taken(1, 2)]}
    assert growth_table("days", columns, "other data: 3 items, expected 4").splitlines() == [
        "", "days", "other data: 3 items, expected 4",
    ]  # fmt: skip
