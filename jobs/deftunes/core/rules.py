"""The DQDL rulesets: one file per entity, the same text here and in AWS, thresholds as `${name}`.

`transform` validates each row by the row rules; `quality` audits the batch by all of them.

A text has a bound, in characters of at most four bytes, so that no warehouse stumbles over one record: 255 for what an
index holds, of which PostgreSQL's takes some 2,700 bytes a row, and 16,383 for others, since Redshift's widest varchar
has 65,535 bytes. Not so one that may be NULL: Deequ fails ColumnLength for every row of a column that is all NULL.
An id that tells rows apart has no NUL: load writes U+FFFD for it, and two could become one.
"""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import resources
from string import Template

from deftunes.core.entities import Entity

# The kinds that say something about one row by itself. All others need the whole batch.
ROW_KINDS = frozenset({"IsComplete", "ColumnLength", "ColumnValues"})
_RULE = re.compile(r'^(?P<kind>[A-Z]\w+)(?P<columns>(?:\s+"[^"]+")*).*$')


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule as DQDL text."""

    text: str
    kind: str
    columns: tuple[str, ...]

    @property
    def is_row_rule(self) -> bool:
        """Whether it validates a row by itself."""
        return self.kind in ROW_KINDS


@dataclass(frozen=True, slots=True)
class Ruleset:
    """The rules of one entity, thresholds filled in. Equal digests validate equally."""

    entity: Entity
    rules: tuple[Rule, ...]

    @property
    def digest(self) -> str:
        """Identity of these rules with these thresholds: 16 hex characters."""
        return hashlib.sha256("\n".join(rule.text for rule in self.rules).encode()).hexdigest()[:16]

    def row_rules(self, columns: Iterable[str]) -> "Ruleset":
        """The row rules that speak of these columns only."""
        known = frozenset(columns)
        return Ruleset(self.entity, tuple(r for r in self.rules if r.is_row_rule and known.issuperset(r.columns)))

    def without(self, others: "Ruleset") -> "Ruleset":
        """The rules that are not among others."""
        return Ruleset(self.entity, tuple(rule for rule in self.rules if rule not in others.rules))

    def to_dqdl(self) -> str:
        """As DQDL text."""
        return "Rules = [" + ", ".join(rule.text for rule in self.rules) + "]"


@dataclass(frozen=True, slots=True)
class RuleOutcome:
    """One rule over one batch. `detail` says why it failed, with the figures."""

    rule: str
    passed: bool
    detail: str


def load_ruleset(entity: Entity, **thresholds: object) -> Ruleset:
    """The entity's ruleset with its thresholds filled in.

    Raises:
        KeyError: the text names a threshold that is not given.
    """
    text = resources.files("deftunes.quality").joinpath("rulesets", f"{entity}.dqdl").read_text("utf-8")
    return Ruleset(entity, parse_rules(Template(text).substitute(thresholds)))


def parse_rules(dqdl: str) -> tuple[Rule, ...]:
    """The rules of a DQDL text that has one rule a line.

    Raises:
        ValueError: a line is no rule.
    """
    lines = dqdl.strip().removeprefix("Rules = [").removesuffix("]").splitlines()
    rules = []
    for line in filter(None, (line.strip().removesuffix(",").strip() for line in lines)):
        match = _RULE.match(line)
        if not match:
            raise ValueError(f"expected one DQDL rule a line, got {line!r}")
        rules.append(Rule(line, match["kind"], tuple(re.findall(r'"([^"]+)"', match["columns"]))))
    return tuple(rules)
