"""Any verb with any words and any environment: an exit code of the table, words for a person, no secret."""

import tempfile

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from support.commands import commands
from support.verbs import EXIT_CODES, run

SECRET = "s3cret-Pa55"
PATHS = sorted(commands())
OPTIONS = sorted(
    {option for command in commands().values() for parameter in command.params for option in parameter.opts}
)
TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)
WORDS = st.one_of(
    st.sampled_from(OPTIONS),
    st.sampled_from(
        ["songs", "users", "sessions", "api", "all", "select 1", "csv", "--help", "--", "-1", "0", "9" * 30]
    ),
    st.dates().map(str),
    TEXT,
    TEXT.map(lambda text: f"[/{text}]"),  # markup to the library that prints
)
# Nothing is embedded and no address is set, or none that answers: what is tested is everything before.
ENVIRONMENT = st.fixed_dictionaries(
    {},
    optional={
        "DEFTUNES_WAREHOUSE_DSN": st.sampled_from(
            [
                f"host=127.0.0.1 port=1 password={SECRET}",
                f"postgresql://u:{SECRET}@127.0.0.1:1/d",
                SECRET,
                f"{SECRET}\n\u2013",
            ]
        ),
        "DEFTUNES_API_TOKEN": st.sampled_from([SECRET, f"{SECRET}\n", f"{SECRET}\u2013"]),
        "DEFTUNES_HOME": st.sampled_from(["/proc/nowhere", "/dev/null", "x" * 300, "~nobody-of-this-name/x"]),
        "DEFTUNES_LOOK_BACK": st.integers().map(str),
        "DEFTUNES_LOCK_TIMEOUT": st.floats().map(str),
        "DEFTUNES_MAX_PRICE": st.decimals().map(str) | TEXT,
        "DEFTUNES_FAILPOINT": TEXT,
        "AWS_REGION": TEXT,
        "COLUMNS": st.sampled_from(["1", "80", "x"]),
        "TERM": st.sampled_from(["dumb", "xterm", ""]),
    },
)


@given(st.sampled_from(PATHS), st.lists(WORDS, max_size=6), ENVIRONMENT)
@example(("query",), ["select 1"], {"DEFTUNES_WAREHOUSE_DSN": f"host=127.0.0.1 port=1 password={SECRET}"})
@example(("query",), ["[/x]", "--format", "[/y]"], {})
@example(("backfill",), ["api", "--start", "2020-01-01", "--end", "2020-01-02", "--chunk", "9" * 30], {})
@settings(max_examples=600)
def test_any_words_end_as_the_table_says(path: tuple[str, ...], words: list[str], environment: dict[str, str]) -> None:
    with tempfile.TemporaryDirectory() as home:
        ended = run([*path, *words], {"DEFTUNES_HOME": home, **environment, "DEFTUNES_EMBEDDED": "false"})
    assert ended.code in EXIT_CODES, ended
    assert "Traceback" not in ended.said
    assert "fault of deftunes" not in ended.stderr, ended
    assert SECRET not in ended.said
    assert ended.said


@pytest.mark.parametrize(
    "words", [["--start", "0001-01-01", "--end", "0001-01-02"], ["--start", "9999-12-30", "--end", "9999-12-31"]]
)
@pytest.mark.parametrize(
    "verb", [["extract", "sessions"], ["run", "all"], ["backfill", "api"], ["check", "all"], ["model"]]
)
def test_a_day_outside_of_the_calendar_is_bad_usage(verb: list[str], words: list[str]) -> None:
    ended = run([*verb, *words], {})
    assert ended.code == 2
    assert "from 1900-01-01 to 2199-12-31" in " ".join(ended.stderr.replace("│", " ").split())


@given(
    st.lists(
        TEXT | st.sampled_from(["--stage", "transform", "--entity", "users", "--start", "--end", "2020-01-01"]),
        max_size=9,
    )
)
@settings(max_examples=200)
def test_a_glue_job_ends_so_too(words: list[str]) -> None:
    from deftunes.cli import glue

    ended = run(words, {"DEFTUNES_EMBEDDED": "false"}, entry=glue.main)
    assert ended.code in EXIT_CODES - {0}
    assert "Traceback" not in ended.said
