"""Deequ's evaluation of DQDL, behind two functions: the only place that knows which Deequ it is."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F

from deftunes.core.rules import RuleOutcome, Ruleset
from deftunes.core.settings import declare_spark_version

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_OUTCOMES = ["DataQualityRulesPass", "DataQualityRulesFail", "DataQualityRulesSkip", "DataQualityEvaluationResult"]


def failed_rules(rows: "DataFrame", rules: Ruleset, column: str) -> "DataFrame":
    """`rows` with the texts of the row rules each one broke, as an array in `column`."""
    if not rules.rules:
        return rows.withColumn(column, F.array().cast("array<string>"))
    with _quiet(rows.sparkSession):
        validated: DataFrame = _deequ().processRows(rows.sparkSession, rows, rules.to_dqdl())["rowLevelOutcomes"]
    return validated.withColumn(column, F.col("DataQualityRulesFail")).drop(*_OUTCOMES)


def evaluate_rules(rows: "DataFrame", rules: Ruleset) -> list[RuleOutcome]:
    """Every rule's outcome over `rows`, in the ruleset's order. `rows` must not be empty: Deequ fails all then."""
    with _quiet(rows.sparkSession):
        outcomes = _deequ().process(rows.sparkSession, rows, rules.to_dqdl()).collect()
    by_rule = {row["Rule"]: row for row in outcomes}
    return [
        RuleOutcome(rule.text, row["Outcome"] == "Passed", row["FailureReason"] or "")
        for rule in rules.rules
        for row in (by_rule[rule.text],)
    ]


@contextmanager
def _quiet(spark: "SparkSession") -> Iterator[None]:
    """The parser in the dqdl jar tells stderr, four times, that another ANTLR generated it; it works all the same."""
    jvm: Any = spark._jvm
    stderr = jvm.System.err
    jvm.System.setErr(jvm.java.io.PrintStream(jvm.java.io.OutputStream.nullOutputStream()))
    yield  # no finally: after a failure there may be no JVM left to ask
    jvm.System.setErr(stderr)


def _deequ() -> Any:
    # PyDeequ reads SPARK_VERSION when it is imported.
    declare_spark_version("3.5")
    from pydeequ.dqdl import EvaluateDataQuality

    return EvaluateDataQuality
