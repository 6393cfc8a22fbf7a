"""What a model run enqueues, in SQL that Redshift understands too."""

from datetime import date

import pytest

from deftunes.core.interval import Interval
from deftunes.model.scope import enqueue_scope
from support.redshift import RecordingConnection


def test_every_statement_parses_as_redshift(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deftunes.model.scope._gold_is_there", lambda _: True)
    connection = RecordingConnection(("2025-01-03",))
    scope = enqueue_scope(connection, Interval(date(2025, 1, 1), date(2025, 1, 2)), everything=False)  # type: ignore[arg-type]
    assert scope.days == (date(2025, 1, 1), date(2025, 1, 3))
    connection.assert_redshift(at_least=10)
