"""Settings: whatever the environment holds, they are read or refused as bad usage, and no secret is shown."""

import os
from collections.abc import Mapping
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from deftunes.core.errors import BadUsageError, DeftunesError
from deftunes.core.settings import Settings, described, expect_interpreter, read_settings, redacted

SECRET = "s3cret-Pa55"
VARIABLES = {row.variable for row in described(Settings())}
SECRETS = {
    "DEFTUNES_API_TOKEN", "DEFTUNES_LAKE_ACCESS_KEY_ID", "DEFTUNES_LAKE_SECRET_ACCESS_KEY", "DEFTUNES_SONGS_DSN",
    "DEFTUNES_WAREHOUSE_DSN",
}  # fmt: skip
# What an environment can hold: no NUL; bytes that are no UTF-8 come as half characters.
CHARACTERS = st.characters(exclude_characters="\0", exclude_categories=["Cs"]) | st.characters(
    min_codepoint=0xDC80, max_codepoint=0xDCFF, categories=["Cs"]
)
VALUES = (
    st.text(CHARACTERS, max_size=30)
    | st.sampled_from(
        ["nan", "inf", "-1", "0", "1e400", "9" * 40, "٣", "true", "2g", "s3://lake/p", "http://h:1", "host=h"]
    )
    | st.text(CHARACTERS, max_size=10).map(lambda text: f"{SECRET}{text}")
    | st.text(CHARACTERS, max_size=10).map(lambda text: f"postgresql://u:{SECRET}@h{text}")
    | st.text(CHARACTERS, max_size=10).map(lambda text: f"https://u:{SECRET}@h/{text}")
)


def read(values: Mapping[str, str]) -> Settings:
    with mock.patch.dict(os.environ, values, clear=True):
        return read_settings()


def refusal(**values: str) -> str:
    with pytest.raises(BadUsageError) as refused:
        read(values)
    return str(refused.value)


@given(st.dictionaries(st.sampled_from(sorted(VARIABLES)), VALUES, max_size=8))
@settings(max_examples=2000)
def test_any_environment_is_read_or_refused(values: dict[str, str]) -> None:
    try:
        shown = {row.variable: row.value for row in described(read(values))}
    except BadUsageError as error:
        shown = dict.fromkeys(SECRETS, str(error))
    addresses = {"AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "DEFTUNES_API_URL", "DEFTUNES_LAKE"}
    assert [name for name in (SECRETS | addresses) & set(shown) if SECRET in shown[name]] == []


@pytest.mark.parametrize("around", ["{}\n", "{}\r\n", " {}", "\t{}\u00a0"])
@pytest.mark.parametrize("name", sorted(SECRETS))
def test_what_files_and_stores_add_around_a_secret_is_no_part_of_it(name: str, around: str) -> None:
    value = f"host=h password={SECRET}" if name.endswith("DSN") else SECRET
    found = read({name: around.format(value)})
    assert getattr(found, name.removeprefix("DEFTUNES_").lower()).get_secret_value() == value


@pytest.mark.parametrize(
    "within", ["s3cret\u2013token", "s3cret\ntoken", "s3cret token", "s3cret\x7ftoken", "s3cret\udc80"]
)
@pytest.mark.parametrize("name", [name for name in sorted(SECRETS) if not name.endswith("DSN")])
def test_a_credential_that_no_header_holds_is_refused_and_not_shown(name: str, within: str) -> None:
    told = refusal(**{name: within})
    assert name in told
    assert "s3cret" not in told


def test_a_python_that_this_user_may_not_start_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python = tmp_path / "python"
    python.touch(mode=0o600)
    monkeypatch.setattr("sys.executable", str(python))
    with pytest.raises(DeftunesError, match=rf"may start {python}, got that it may not"):
        expect_interpreter()


def test_a_value_of_blanks_is_unset() -> None:
    assert read({"DEFTUNES_API_TOKEN": " \n", "DEFTUNES_LOOK_BACK": "  "}) == read({})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AWS_REGION", "eu west"), ("AWS_ENDPOINT_URL", "http://u:s3cret@h"), ("AWS_ENDPOINT_URL_S3", "http://h/path"),
        ("DEFTUNES_API_URL", "http://h:80a"), ("DEFTUNES_HTTP_TIMEOUT", "inf"), ("DEFTUNES_LAKE", "s3://lake/a b"),
        ("DEFTUNES_LOCK_TIMEOUT", "nan"), ("DEFTUNES_LOOK_BACK", "800000"), ("DEFTUNES_MAX_PRICE", "1e400"),
        ("DEFTUNES_SPARK_MEMORY", "1m"), ("DEFTUNES_SPARK_MEMORY", "٣g"), ("DEFTUNES_HOME", "a\nb"),
    ],
)  # fmt: skip
def test_a_refusal_names_the_variable_as_it_is_set(name: str, value: str) -> None:
    told = refusal(**{name: value})
    assert f"{name}: " in told
    assert "DEFTUNES_AWS" not in told
    assert "s3cret" not in told


@given(st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=5, max_size=20), st.text(max_size=20))
def test_no_text_that_is_shown_holds_a_password(password: str, around: str) -> None:
    given_to_it = {
        "DEFTUNES_WAREHOUSE_DSN": f"postgresql://u:{password}%2F1@h/db",
        "DEFTUNES_SONGS_DSN": f"host=h password='{password}2' dbname=d",
        "https_proxy": f"http://u:{password}3@proxy:3128",
        "PGPASSWORD": f"{password}4",
    }
    with mock.patch.dict(os.environ, given_to_it, clear=True):
        for shown in (f"{password}/1", f"{password}%2F1", f"{password}2", f"{password}3", f"{password}4"):
            assert shown not in redacted(f"{around}#{shown}#")


def test_secrets_are_secret_strings() -> None:
    found = {name for name, field in Settings.model_fields.items() if SecretStr.__name__ in str(field.annotation)}
    assert {f"DEFTUNES_{name.upper()}" for name in found} == SECRETS
