"""Deequ's evaluation of DQDL, behind two functions: the only place that knows which Deequ it is."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F  # noqa: N812 - the name every Spark reader knows

from deftunes.config import declare_spark_version

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from deftunes.quality.rules import Ruleset

_OUTCOMES = ["DataQualityRulesPass", "DataQualityRulesFail", "DataQualityRulesSkip", "DataQualityEvaluationResult"]


@dataclass(frozen=True, slots=True)
class RuleOutcome:
    """One rule over one batch."""

    rule: str
    passed: bool
    detail: str


def failed_rules(rows: "DataFrame", rules: "Ruleset", column: str) -> "DataFrame":
    """`rows` with the texts of the row rules each one broke, as an array in `column`."""
    if not rules.rules:
        return rows.withColumn(column, F.array().cast("array<string>"))
    judged: DataFrame = _deequ().processRows(rows.sparkSession, rows, rules.to_dqdl())["rowLevelOutcomes"]
    return judged.withColumn(column, F.col("DataQualityRulesFail")).drop(*_OUTCOMES)


def judge(rows: "DataFrame", rules: "Ruleset") -> list[RuleOutcome]:
    """Every rule's outcome over `rows`, in the ruleset's order. `rows` must not be empty: Deequ fails all then."""
    outcomes = _deequ().process(rows.sparkSession, rows, rules.to_dqdl()).collect()
    by_rule = {row["Rule"]: row for row in outcomes}
    return [
        RuleOutcome(rule.text, row["Outcome"] == "Passed", row["FailureReason"] or "")
        for rule in rules.rules
        for row in (by_rule[rule.text],)
    ]


def _deequ() -> Any:
    # PyDeequ reads SPARK_VERSION when it is imported.
    declare_spark_version("3.5")
    from pydeequ.dqdl import EvaluateDataQuality  # noqa: PLC0415

    return EvaluateDataQuality
