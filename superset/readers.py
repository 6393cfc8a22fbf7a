"""Readers ask what the datasets define: metrics, and the columns that may be asked for. No SQL of their own.

Superset lets whoever may see a chart send any expression over its dataset: `sum(total_sales)` over all currencies, or
the id of every buyer. Its own check of that is for embedded guests only.
"""

from typing import Any

from superset.errors import ErrorLevel, SupersetError, SupersetErrorType
from superset.exceptions import SupersetSecurityException
from superset.security import SupersetSecurityManager

from questions import terms_of

VIEWER = "Viewer"


class Readers(SupersetSecurityManager):  # type: ignore[misc]  # Superset is in its own image
    """Superset's rights, and those of a reader's question."""

    def raise_for_access(self, *args: Any, **given: Any) -> None:
        """See Superset.

        Raises:
            SupersetSecurityException: may not be asked, or not by a reader.
        """
        super().raise_for_access(*args, **given)
        question = given.get("query_context") or given.get("viz")
        if question is None or self.can_access("can_write", "Chart"):
            return
        dataset = question.datasource
        known = {column.column_name for column in dataset.columns if column.groupby or column.filterable}
        known |= {metric.metric_name for metric in dataset.metrics}
        for term in terms_of(question):
            if term not in known:
                raise SupersetSecurityException(
                    SupersetError(
                        error_type=SupersetErrorType.DATASOURCE_SECURITY_ACCESS_ERROR,
                        message=f"A reader asks for columns and metrics of the dataset, not for {term!r}",
                        level=ErrorLevel.WARNING,
                    )
                )
