"""The UTC day that a record of the API belongs to: every case in tests/cases/extract."""

import pytest

from deftunes.extract.sessions import day_of
from support.cases import Case, cases


@pytest.mark.parametrize("case", cases("extract/sessions"))
def test_a_session_belongs_to_the_utc_day_of_its_time_or_to_none(case: Case) -> None:
    day = day_of(case.record())

    case.assert_expected({"day": day and day.isoformat()})
