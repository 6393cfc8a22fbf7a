"""DQDL rules as plain SQL that DuckDB and Spark read alike, judging as Deequ does.

    row_predicate   one rule about a row: true where the row is good, never NULL
    split           what is compiled, and what is not
    broken, texts   which rules a row breaks: their numbers out of SQL, their texts for people
    audit_query, outcomes   a batch by all rules: one row of figures out of SQL, one outcome a rule

A kind, an operator or a literal is compiled only where a test has compared it with Deequ, row by row and batch by batch
(`tests/integration/quality/test_dqdl_against_deequ.py`). Every other is refused.

A rule's text does not tell the type of its column. What holds: ColumnLength and `matches` over `string`, numbers over
`int`, `bigint` and decimals of at most 15 digits (Deequ compares as doubles, which are exact that far), `= "text"` over
`string`. Over a double, NaN and rounding differ; a test keeps such rules out of the platform's files.

One difference is wanted: in a batch whose column is all NULL, Deequ fails ColumnLength for each row. That is a fact of
the batch and not of the row, so here a NULL has no length to judge; the audit of such a batch fails as Deequ's does.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from operator import eq, ge, gt, le, lt
from typing import Any

from deftunes.core.errors import DeftunesError
from deftunes.core.rules import Rule, RuleOutcome, Ruleset

_CONDITION = re.compile(r'[A-Z]\w+(?:\s+"[^"]+")*\s*(?P<condition>.*)')
_COLUMN = re.compile(r"[a-z_][a-z0-9_]*")
# Both engines read these as values even where a column has that name.
_VALUES = frozenset({"null", "true", "false"})

_LENGTH = re.compile(r"(?P<operator>=|<=|>=|<|>)\s*(?P<length>0|[1-9]\d{0,8})", re.ASCII)
_NUMBER = r"-?(?:0|[1-9]\d*)(?:\.\d+)?"
_COMPARED = re.compile(rf"(?P<operator>=|!=|<=|>=|<|>)\s*(?P<number>{_NUMBER})", re.ASCII)
_BETWEEN = re.compile(rf"between\s+(?P<low>{_NUMBER})\s+and\s+(?P<high>{_NUMBER})", re.ASCII)
_MOST_DIGITS = 15
# It begins with a letter: Deequ reads "2026-01-31" as a date.
_TEXT = re.compile(r'(?P<operator>=|!=)\s*"(?P<text>[A-Za-z][A-Za-z0-9_]*)"')
_MATCHES = re.compile(r'matches\s+"\[\^(?P<characters>(?:\\x[0-9A-Fa-f]{2}|\\\\|[A-Za-z0-9 _.,:;/@#%])+)\]\*"')
_CHARACTER = re.compile(r"\\x(?P<code>..)|\\(?P<escaped>\\)|(?P<plain>.)")
# Java's `$` lets one of them follow the match, so a text that ends with it passes even if the class excludes it.
_LINE_ENDS = frozenset({0x0A, 0x0D, 0x85})

_SHARES: Mapping[str, Callable[[float, float], bool]] = {"=": eq, ">=": ge, ">": gt, "<=": le, "<": lt}
_SHARE = re.compile(rf"(?P<operator>=|<=|>=|<|>)\s*(?P<number>{_NUMBER})", re.ASCII)


class NotCompiledError(DeftunesError):
    """A rule has no SQL that is known to judge as Deequ does."""

    def __init__(self, rule: Rule) -> None:
        super().__init__(
            f"the rule {rule.text} has no SQL that judges as Deequ does. Compiled are, over columns with plain names: "
            'IsComplete "c"; ColumnLength "c" with = <= >= < >; ColumnValues "c" with = != <= >= < > and a number of '
            'at most 15 digits, between such numbers, = != and a "word", matches "[^characters]*"; Uniqueness "c" '
            'with = <= >= < >; IsPrimaryKey "c" "d". State the rule so, or run with DEFTUNES_ENGINE=spark'
        )


def split(ruleset: Ruleset) -> tuple[Ruleset, Ruleset]:
    """The rules that are compiled, and the others."""
    compiled = tuple(rule for rule in ruleset.rules if _is_compiled(rule))
    others = tuple(rule for rule in ruleset.rules if rule not in compiled)
    return Ruleset(ruleset.entity, compiled), Ruleset(ruleset.entity, others)


def expect_compiled(ruleset: Ruleset) -> None:
    """That all rules have SQL.

    Raises:
        NotCompiledError: the first that has none.
    """
    for rule in split(ruleset)[1].rules:
        raise NotCompiledError(rule)


def row_predicate(rule: Rule) -> str:
    """SQL that is true where a row is good and false where it breaks the rule, never NULL.

    Raises:
        NotCompiledError: the rule is none about a row, or none that is known to judge as Deequ does.
    """
    condition = _condition(rule)
    (column,) = _columns(rule, most=1)
    if rule.kind == "IsComplete" and not condition:
        return f"{column} is not null"
    if rule.kind == "ColumnLength" and (match := _LENGTH.fullmatch(condition)):
        return f"coalesce(length({column}) {match['operator']} {match['length']}, true)"
    predicate = _values(column, condition) if rule.kind == "ColumnValues" else None
    if predicate is None:
        raise NotCompiledError(rule)
    return predicate


def broken(ruleset: Ruleset) -> str:
    """SQL expressions for `concat_ws(chr(10), ...)`: the number of each row rule that a row breaks, NULL for others.

    Numbers and no texts: a rule has backslashes and quotes, which the engines read differently. See `texts`.

    Raises:
        NotCompiledError: a row rule has no SQL.
    """
    numbers = (
        f"case when not ({row_predicate(rule)}) then '{number}' end"
        for number, rule in _numbered(ruleset)
        if rule.is_row_rule
    )
    return ", ".join(numbers) or "cast(null as string)"


def texts(ruleset: Ruleset, reasons: str) -> tuple[str, ...]:
    """The reasons in order, each once: of the lines of `reasons`, numbers of `broken(ruleset)` become the rules' texts.

    Raises:
        KeyError: a number is none of this ruleset.
    """
    rules = {str(number): rule.text for number, rule in _numbered(ruleset)}
    lines = filter(None, reasons.split("\n"))
    return tuple(dict.fromkeys(rules[line] if line.isdecimal() else line for line in lines))


def audit_query(ruleset: Ruleset, table: str) -> str:
    """A SELECT of one row: the figures over `table` from which `outcomes` judges each rule.

    Keys are counted by grouping in a subquery of their own, which both engines do on disk where memory ends.

    Raises:
        NotCompiledError: a rule has no SQL.
    """
    figures = ["count(*) as total"]
    joined = []
    for number, rule in _numbered(ruleset):
        if rule.is_row_rule:
            figures.append(f"count(*) filter (where not ({row_predicate(rule)})) as broken_{number}")
            keys = rule.columns if rule.kind == "ColumnLength" else ()
        else:
            keys = _keys(rule)
            joined.append(
                f"(select count(*) as once_{number} from (select 1 as one from {table} where {_there(keys)} "
                f"group by {', '.join(keys)} having count(*) = 1) as keys_{number}) as counted_{number}"
            )
        if keys:
            figures.append(f"count(*) filter (where {_there(keys)}) as there_{number}")
    return " cross join ".join([f"select * from (select {', '.join(figures)} from {table}) as counted", *joined])


def outcomes(ruleset: Ruleset, figures: Mapping[str, Any]) -> list[RuleOutcome]:
    """Each rule's outcome, in the ruleset's order, from the row of `audit_query`. An empty batch passes them all."""
    counts = {name: int(figure) for name, figure in figures.items()}
    if not counts["total"]:
        return [RuleOutcome(rule.text, True, "no rows") for rule in ruleset.rules]
    return [
        RuleOutcome(rule.text, not detail, detail)
        for number, rule in _numbered(ruleset)
        for detail in (_failure(rule, number, counts),)
    ]


def _is_compiled(rule: Rule) -> bool:
    try:
        if rule.is_row_rule:
            row_predicate(rule)
        else:
            _keys(rule)
    except NotCompiledError:
        return False
    return True


def _numbered(ruleset: Ruleset) -> Iterator[tuple[int, Rule]]:
    return enumerate(ruleset.rules, start=1)


def _condition(rule: Rule) -> str:
    match = _CONDITION.fullmatch(rule.text)
    if match is None:
        raise NotCompiledError(rule)
    return match["condition"]


def _columns(rule: Rule, most: int) -> tuple[str, ...]:
    plain = all(_COLUMN.fullmatch(column) and column not in _VALUES for column in rule.columns)
    if not (plain and 1 <= len(rule.columns) <= most):
        raise NotCompiledError(rule)
    return rule.columns


def _values(column: str, condition: str) -> str | None:
    if match := _COMPARED.fullmatch(condition):
        return _compared(column, match["operator"], match["number"]) if _exact(match["number"]) else None
    if match := _TEXT.fullmatch(condition):
        return _compared(column, match["operator"], f"'{match['text']}'")
    if match := _BETWEEN.fullmatch(condition):
        low, high = match["low"], match["high"]
        # Both ends are excluded in Deequ.
        return f"coalesce({column} > {low} and {column} < {high}, false)" if _exact(low) and _exact(high) else None
    if match := _MATCHES.fullmatch(condition):
        codes = _codes(match["characters"])
        # Deequ takes an empty match for none.
        without = " and ".join([f"{column} <> ''", *(f"not contains({column}, chr({code}))" for code in codes)])
        return None if _LINE_ENDS.intersection(codes) else f"coalesce({without}, false)"
    return None


def _compared(column: str, operator: str, literal: str) -> str:
    # NULL differs from everything in Deequ and breaks every other comparison.
    return (
        f"coalesce({column} <> {literal}, true)"
        if operator == "!="
        else f"coalesce({column} {operator} {literal}, false)"
    )


def _exact(number: str) -> bool:
    """Deequ compares doubles: of up to 15 digits, no two decimals are the same double."""
    return sum(map(str.isdigit, number)) <= _MOST_DIGITS


def _codes(characters: str) -> tuple[int, ...]:
    found = _CHARACTER.finditer(characters)
    codes = (int(match["code"], 16) if match["code"] else ord(match["escaped"] or match["plain"]) for match in found)
    return tuple(dict.fromkeys(codes))


def _keys(rule: Rule) -> tuple[str, ...]:
    """The columns whose values should tell rows apart."""
    condition = _condition(rule)
    if rule.kind == "IsPrimaryKey" and not condition:
        return _columns(rule, most=len(rule.columns))
    if rule.kind == "Uniqueness" and (share := _SHARE.fullmatch(condition)) and _exact(share["number"]):
        return _columns(rule, most=1)
    raise NotCompiledError(rule)


def _there(keys: tuple[str, ...]) -> str:
    """Deequ leaves out the rows whose key is NULL in each part."""
    return " or ".join(f"{key} is not null" for key in keys)


def _failure(rule: Rule, number: int, counts: Mapping[str, int]) -> str:
    """Why the batch fails the rule, empty where it passes."""
    total, there, once = counts["total"], counts.get(f"there_{number}", 0), counts.get(f"once_{number}", 0)
    if rule.kind in {"ColumnLength", "Uniqueness", "IsPrimaryKey"} and not there:
        return f"{total} of {total} rows are NULL"
    if rule.is_row_rule:
        bad = counts[f"broken_{number}"]
        return f"{bad} of {total} rows" if bad else ""
    if rule.kind == "Uniqueness":
        share = _SHARE.fullmatch(_condition(rule))
        assert share is not None
        passed = _SHARES[share["operator"]](once / there, float(share["number"]))
        return "" if passed else f"{once} of {there} values occur once ({once / there:.2%})"
    if once < there:
        return f"{there - once} of {total} rows share their key"
    # Of several columns, Deequ asks for uniqueness only.
    return f"{total - there} of {total} rows are NULL" if len(rule.columns) == 1 and there < total else ""
