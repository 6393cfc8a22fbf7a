import pytest

from deftunes.cli.glue import command_of
from deftunes.core.errors import BadUsageError

JOB = ["--stage", "transform", "--entity", "songs", "--start", "2020-01-01", "--end", "2020-01-02"]


def test_a_jobs_arguments_are_the_clis() -> None:
    assert command_of(JOB) == (
        ["transform", "songs", "--start", "2020-01-01", "--end", "2020-01-02", "--json"],
        {},
    )


def test_settings_come_as_arguments_because_glue_sets_no_environment() -> None:
    _, settings = command_of([*JOB, "--DEFTUNES_LAKE", "s3://a-lake", "--DEFTUNES_MAX_PRICE=2.50"])
    assert settings == {"DEFTUNES_LAKE": "s3://a-lake", "DEFTUNES_MAX_PRICE": "2.50"}


def test_what_glue_adds_of_its_own_is_passed_over() -> None:
    added = ["--JOB_NAME", "deftunes-transform-songs", "--JOB_RUN_ID", "jr_1", "--TempDir", "s3://t", "--continue"]
    assert command_of([*added, *JOB, "--job-bookmark-option", "job-bookmark-disable"]) == command_of(JOB)


@pytest.mark.parametrize("missing", ["--stage", "--entity", "--start", "--end"])
def test_a_missing_argument_is_named(missing: str) -> None:
    at = JOB.index(missing)
    with pytest.raises(BadUsageError, match=f"got no {missing}"):
        command_of(JOB[:at] + JOB[at + 2 :])
