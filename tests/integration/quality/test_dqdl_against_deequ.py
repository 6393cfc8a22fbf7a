"""The SQL of DQDL rules judges as Deequ does, on DuckDB and on Spark: a thousand generated frames, by row and whole.

A frame is some values of one column (of two, for a key) and one rule about them. Deequ takes seconds for each call, so
frames share calls. For rows, the values of all frames stand one below the other, and every rule of their type judges
each of them. For batches, frames of the same number of rows stand side by side in one table, each with its own rule.
What differs is listed shortest value first: a rule about a row sees one value, so that is the smallest example.
"""

import random
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from itertools import combinations, zip_longest
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa
import pytest

from deftunes.adapters.deequ import evaluate_rules, failed_rules
from deftunes.core.dqdl import audit_query, broken, outcomes, row_predicate, texts
from deftunes.core.entities import Entity
from deftunes.core.rules import RuleOutcome, Ruleset, parse_rules

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

FRAMES = 1_000
SIZES = range(1, 21)
SEED = 20_260_131

TYPES = {
    "text": ("string", pa.string()),
    "number": ("int", pa.int32()),
    "large": ("bigint", pa.int64()),
    "price": ("decimal(12,2)", pa.decimal128(12, 2)),
    "degrees": ("decimal(11,8)", pa.decimal128(11, 8)),
    "instant": ("timestamp", pa.timestamp("us", tz="UTC")),
}
# By type: the smallest step between two values, and the ends of the range.
RANGES = {
    "number": (Decimal(1), -(2**31), 2**31 - 1),
    "large": (Decimal(1), -(2**63), 2**63 - 1),
    "price": (Decimal("0.01"), Decimal("-9999999999.99"), Decimal("9999999999.99")),
    "degrees": (Decimal("1e-8"), Decimal("-999.99999999"), Decimal("999.99999999")),
}
NUMBERS = {
    "number": ("0", "2", "-5", "1.5", "2147483647"),
    "large": ("0", "-2", "0.5", "123456789012345"),
    "price": ("0", "2", "1.995", "-9999999999.99"),
    "degrees": ("0", "-0.00000001", "179.99999999", "90.0"),
}
BETWEEN = {
    "number": (("-5", "2"), ("2", "-5")),
    "large": (("-2", "123456789012345"), ("0.5", "1.5")),
    "price": (("0", "1.995"), ("-2", "2.00")),
    "degrees": (("-90", "179.99999999"), ("0", "0.00000001")),
}
LENGTHS = ("= 0", "= 1", "= 3", "= 18", "< 1", "< 3", "<= 0", "<= 3", "<= 18", "> 0", "> 3", ">= 1", ">= 18")
CLASSES = (r"\x00", r"\x00\x62", r"\\", "a", r"b \xe9", r"\xFF\x41,/")
WORD = "abc"
CONDITIONS = {
    "text": (
        'IsComplete "{}"',
        *(f'ColumnLength "{{}}" {length}' for length in LENGTHS),
        *(f'ColumnValues "{{}}" matches "[^{characters}]*"' for characters in CLASSES),
        *(f'ColumnValues "{{}}" {operator} "{WORD}"' for operator in ("=", "!=")),
    ),
    **{
        name: (
            'IsComplete "{}"',
            *(f'ColumnValues "{{}}" {operator} {n}' for operator in ("=", "!=", "<", "<=", ">", ">=") for n in numbers),
            *(f'ColumnValues "{{}}" between {low} and {high}' for low, high in BETWEEN[name]),
        )
        for name, numbers in NUMBERS.items()
    },
    "instant": ('IsComplete "{}"',),
}
SHARED = (">", ">=", "=", "<=", "<")
KEYS = (
    *(f'Uniqueness "{{}}" {operator} {share}' for operator in SHARED for share in (0.5, 0.75, 1)),
    *('IsPrimaryKey "{}"', 'IsPrimaryKey "{}" "{}"') * 3,
)
PIECES = (
    "a", "b", "c", "A", WORD, " ", "\t", "\n", "\r", "\r\n", "\u0085", "\u2028", "\0", "\\", "'", '"', "é", "e\u0301",
    "ÿ", "😀", "👩‍👩‍👧", "日本", "Ω", "ß", "\u200b", "\ufeff", "\U0010ffff", ",", "/", "$",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Frame:
    """A rule with places for its columns, and those columns' types and values."""

    rule: str
    types: tuple[str, ...]
    columns: tuple[tuple[Any, ...], ...]


def frames() -> Iterator[Frame]:
    """Every seventeenth with a key, which costs Deequ a job of its own; a third of the others with texts."""
    chance = random.Random(SEED)
    for number in range(FRAMES):
        size = SIZES[number % len(SIZES)]
        if number % 17 == 0:
            rule = KEYS[number // 17 % len(KEYS)]
            types = tuple(chance.sample(tuple(TYPES), rule.count("{}")))
            columns = tuple(keys(chance, name, size) for name in types)
        else:
            types = (chance.choice((*["text"] * 2, *TYPES)),)
            rule = chance.choice(CONDITIONS[types[0]])
            nulls = chance.choice((0.0, 0.1, 0.3, 1.0))
            columns = (tuple(None if chance.random() < nulls else value(chance, types[0]) for _ in range(size)),)
        yield Frame(rule, types, columns)


def value(chance: random.Random, name: str) -> Any:
    if name == "text":
        return text(chance)
    if name == "instant":
        return datetime(2026, 1, 31, tzinfo=UTC) + timedelta(microseconds=chance.randint(-(10**15), 10**15))
    step, least, most = RANGES[name]
    bound = Decimal(chance.choice((*NUMBERS[name], *BETWEEN[name][0], *BETWEEN[name][1])))
    near = bound.quantize(step, chance.choice((ROUND_FLOOR, ROUND_CEILING))) + step * chance.choice((-1, 0, 0, 1))
    anywhere = least + step * chance.randint(0, int((most - least) / step))
    number = min(max(chance.choice((near, near, near, anywhere, least, most, 2**53 + 1)), least), most)
    return int(number) if step == 1 else Decimal(number).quantize(step)


def text(chance: random.Random) -> str:
    length = chance.choice((0, 1, 1, 2, 3, 3, 4, 17, 18, 19))
    if chance.random() < 0.5:
        return "".join(chance.choices(PIECES, k=length))
    anything = (chr(chance.choice((chance.randint(0, 0xFF), chance.randint(0, 0xD7FF)))) for _ in range(length))
    return chance.choice((WORD, "".join(anything)))


def keys(chance: random.Random, name: str, size: int) -> tuple[Any, ...]:
    """Values of which few, many or all are the same."""
    few = [None, *(value(chance, name) for _ in range(chance.choice((0, 1, size))))]
    return tuple(value(chance, name) if chance.random() < 0.5 else chance.choice(few) for _ in range(size))


class Engines:
    """One table under one name in both engines."""

    def __init__(self, spark: "SparkSession", duck: duckdb.DuckDBPyConnection) -> None:
        self.spark = spark
        self._duck = duck

    def hold(self, types: dict[str, str], columns: Sequence[Sequence[Any]]) -> "DataFrame":
        arrays = [pa.array(values, TYPES[name][1]) for values, name in zip(columns, types.values(), strict=True)]
        self._duck.register("batch", pa.Table.from_arrays(arrays, names=list(types)))
        schema = ", ".join(f"{column} {TYPES[name][0]}" for column, name in types.items())
        frame = self.spark.createDataFrame(list(zip(*columns, strict=True)), schema).coalesce(1).cache()
        frame.createOrReplaceTempView("batch")
        return frame

    def select(self, query: str) -> dict[str, list[dict[str, Any]]]:
        return {"DuckDB": self.by_duckdb(query), "Spark": [row.asDict() for row in self.spark.sql(query).collect()]}

    def by_duckdb(self, query: str) -> list[dict[str, Any]]:
        answer = self._duck.sql(query)
        return [dict(zip(answer.columns, row, strict=True)) for row in answer.fetchall()]


@pytest.fixture
def engines(spark: "SparkSession") -> Iterator[Engines]:
    with closing(duckdb.connect()) as duck:
        yield Engines(spark, duck)
    spark.catalog.clearCache()


def ruleset(rules: Sequence[str]) -> Ruleset:
    return Ruleset(Entity.SESSIONS, parse_rules("\n".join(rules)))


@pytest.mark.parametrize("names", [("text", "instant"), ("number", "large"), ("price", "degrees")], ids="-".join)
def test_every_row_is_judged_as_deequ_judges_it(engines: Engines, names: tuple[str, str]) -> None:
    pools: dict[str, list[Any]] = {name: [] for name in names}
    for frame in frames():
        for name, values in zip(frame.types, frame.columns, strict=True):
            pools.get(name, []).extend(values)
    rows = list(zip_longest(*pools.values()))
    assert len(rows) > 500
    rules = ruleset([condition.format(name) for name in names for condition in CONDITIONS[name]])
    batch = engines.hold(
        {"number_of_row": "number"} | {name: name for name in names}, [range(len(rows)), *zip(*rows, strict=True)]
    )
    judged = {row.number_of_row: frozenset(row.failed) for row in failed_rules(batch, rules, "failed").collect()}
    assert len(judged) == len(rows)
    never = {rule.text for rule in rules.rules}.difference(*judged.values())
    assert all("!=" in rule for rule in never), "a rule that every row meets proves nothing; 1.5 is no integer"
    selected = engines.select(f"select number_of_row, concat_ws(chr(10), {broken(rules)}) as reasons from batch")
    differing = [
        (repr(rows[row["number_of_row"]]), rule, f"{engine} {'fails' if rule in ours else 'passes'} it")
        for engine, found in selected.items()
        for row in found
        for ours in (texts(rules, row["reasons"]),)
        for rule in judged[row["number_of_row"]].symmetric_difference(ours)
    ]
    assert sorted(differing, key=lambda case: len(case[0]))[:10] == []
    assert all(len(found) == len(rows) for found in selected.values())
    unknown = " or ".join(f"({row_predicate(rule)}) is null" for rule in rules.rules)
    for engine, (row,) in engines.select(f"select count(*) as unknown from batch where {unknown}").items():
        assert row["unknown"] == 0, engine


@pytest.mark.parametrize("size", SIZES)
def test_every_batch_is_judged_as_deequ_judges_it(engines: Engines, size: int) -> None:
    types, columns, rules = {}, [], []
    for number, frame in enumerate(frame for frame in frames() if len(frame.columns[0]) == size):
        named = {f"column_{number}_{place}": name for place, name in enumerate(frame.types)}
        types |= named
        columns += frame.columns
        rules.append(frame.rule.format(*named))
    assert len(rules) == FRAMES / len(SIZES)
    batch = engines.hold(types, columns)
    expected = [(outcome.rule, outcome.passed) for outcome in evaluate_rules(batch, ruleset(rules))]
    assert {passed for _, passed in expected} == {True, False}
    values = dict(zip(types, columns, strict=True))
    by_engine = audited(engines, ruleset(rules))
    for engine, ours in by_engine.items():
        differing = [
            (rule.columns and [values[column] for column in rule.columns], outcome, f"{engine}; Deequ says {passed}")
            for rule, outcome, (_, passed) in zip(ruleset(rules).rules, ours, expected, strict=True)
            if outcome.passed is not passed
        ]
        assert sorted(differing, key=lambda case: len(repr(case[0])))[:10] == []
    assert by_engine["DuckDB"] == by_engine["Spark"]


def test_keys_at_the_bounds_are_judged_as_deequ_judges_them(engines: Engines) -> None:
    """By DuckDB alone: Spark takes a job for each of these keys, and counts the same in the test above."""
    columns = {
        "half": ("a", "a", "b", "c"), "whole": ("a", "b", "c", None), "shared": ("a", "a", None, None),
        "nothing": (None,) * 4, "nor_here": (None,) * 4, "every": ("a", "b", "c", "d"),
    }  # fmt: skip
    rules = ruleset(
        [
            *(f'Uniqueness "{c}" {operator} {share}' for c in columns for operator in SHARED for share in (0, 0.5, 1)),
            *(f'IsPrimaryKey "{c}"' for c in columns),
            *(f'IsPrimaryKey "{one}" "{other}"' for one, other in combinations(columns, 2)),
        ]
    )
    batch = engines.hold(dict.fromkeys(columns, "text"), list(columns.values()))
    (figures,) = engines.by_duckdb(audit_query(rules, "batch"))
    ours = [(outcome.rule, outcome.passed) for outcome in outcomes(rules, figures)]
    assert ours == [(outcome.rule, outcome.passed) for outcome in evaluate_rules(batch, rules)]


def audited(engines: Engines, rules: Ruleset) -> dict[str, list[RuleOutcome]]:
    selected = engines.select(audit_query(rules, "batch"))
    return {engine: outcomes(rules, row) for engine, (row,) in selected.items()}


def test_a_length_where_all_are_null_fails_as_a_batch_only(engines: Engines) -> None:
    """The one wanted difference: for Deequ, each row of such a batch fails."""
    rules = ruleset(['ColumnLength "text" <= 3'])
    batch = engines.hold({"text": "text"}, [(None, None)])
    assert [len(row.failed) for row in failed_rules(batch, rules, "failed").collect()] == [1, 1]
    assert engines.select(f"select concat_ws(chr(10), {broken(rules)}) as reasons from batch") == {
        engine: [{"reasons": ""}] * 2 for engine in ("DuckDB", "Spark")
    }
    assert [outcome.passed for outcome in evaluate_rules(batch, rules)] == [False]
    for ours in audited(engines, rules).values():
        assert ours == [RuleOutcome(rules.rules[0].text, False, "2 of 2 rows are NULL")]


def test_a_batch_without_rows_passes_and_a_ruleset_without_rules_breaks_nothing(engines: Engines) -> None:
    rules = ruleset(['IsComplete "text"', 'Uniqueness "text" > 0.5', 'IsPrimaryKey "text"'])
    engines.hold({"text": "text"}, [()])
    for ours in audited(engines, rules).values():
        assert ours == [RuleOutcome(rule.text, True, "no rows") for rule in rules.rules]
    engines.hold({"text": "text"}, [("a",)])
    none = f"select concat_ws(chr(10), 'first', {broken(ruleset([]))}) as reasons from batch"
    for ours in engines.select(none).values():
        assert ours == [{"reasons": "first"}]
    for ours in audited(engines, ruleset([])).values():
        assert ours == []
