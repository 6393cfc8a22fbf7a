"""The command line as scripts rely on it: verbs, options, exit codes, and what starting it costs."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner

from deftunes import extract
from deftunes.cli.app import app, main
from deftunes.core.entities import Entity
from deftunes.core.stages import PipelineName, Stage
from support.commands import UsageError, commands, parse

HEAVY = {
    "adbc_driver_manager", "boto3", "botocore", "dbt", "hypercorn", "msgspec", "ministack", "numpy", "pandas",
    "psycopg2", "pyarrow", "pydantic", "pydantic_settings", "pydeequ", "pyiceberg", "pyspark", "redshift_connector",
    "requests",
}  # fmt: skip
VERBS = {
    "demo", "up", "down", "run", "backfill", "maintain", "query", "board", "status", "check", "doctor", "env",
    "quarantine", *(stage.value for stage in Stage),
}  # fmt: skip
INTERVAL = ["--start", "2020-01-01", "--end", "2020-01-02"]


COMMANDS = commands()


@dataclass
class Ended:
    code: object
    stdout: str
    stderr: str


@pytest.fixture
def deftunes(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    """`deftunes` with these arguments, in this process."""

    def run(*arguments: str) -> Ended:
        monkeypatch.setattr(sys, "argv", ["deftunes", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        return Ended(ended.value.code, *capsys.readouterr())

    return run


def imports_of(statement: str) -> set[str]:
    script = f"import sys; {statement}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(answer.stdout.split())


def test_the_verbs_are_those_of_the_interface() -> None:
    assert {path[0] for path in COMMANDS} == VERBS
    assert [path[1:] for path in COMMANDS if path[0] == "quarantine"] == [("list",), ("replay",)]


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_help_of_every_verb_names_its_options(path: tuple[str, ...]) -> None:
    answer = CliRunner().invoke(app, [*path, "--help"], env={"COLUMNS": "200", "TERM": "dumb"})

    assert answer.exit_code == 0, answer.output
    assert COMMANDS[path].help
    options = [parameter for parameter in COMMANDS[path].params if parameter.opts[0].startswith("--")]
    assert [option.opts[0] for option in options if option.opts[0] not in answer.output or not option.help] == []


@pytest.mark.parametrize("stage", Stage)
def test_every_stage_takes_an_interval_and_speaks_to_machines(stage: Stage) -> None:
    parameters = {parameter.opts[0]: parameter for parameter in COMMANDS[stage.value,].params}

    entity = set() if stage is Stage.MODEL else {"entity"}
    assert {name for name, parameter in parameters.items() if parameter.required} == {"--start", "--end"} | entity
    assert "--json" in parameters


def test_entities_and_pipelines_are_the_choices() -> None:
    for verb, choices in (("extract", Entity), ("publish", Entity), ("run", PipelineName), ("backfill", PipelineName)):
        for choice in choices:
            parse([verb, choice.value, *INTERVAL], complete=True)
        with pytest.raises(UsageError):
            parse([verb, "films", *INTERVAL], complete=True)


@pytest.mark.parametrize(
    "arguments",
    [
        ["fly"],
        ["run"],
        ["run", "films", *INTERVAL],
        ["run", "all", "--start", "2020-01-01"],
        ["run", "all", "--start", "yesterday", "--end", "2020-01-02"],
        ["run", "all", "--start", "2020-01-02", "--end", "2020-01-02"],
        ["run", "all", *INTERVAL, "--force"],
        ["extract", "users", "--start", "2020-01-02", "--end", "2020-01-01"],
        ["query", "select 1", "--format", "xml"],
    ],
    ids=" ".join,
)
def test_bad_usage_exits_2(deftunes: Callable[..., Ended], arguments: list[str]) -> None:
    answer = deftunes(*arguments)

    assert answer.code == 2
    assert answer.stdout == ""
    assert answer.stderr


def test_a_setting_that_cannot_be_read_exits_2(deftunes: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEFTUNES_MAX_REJECTED", "most")

    answer = deftunes("env")

    assert answer.code == 2
    assert "DEFTUNES_MAX_REJECTED" in answer.stderr


def test_an_address_that_is_missing_where_nothing_is_embedded_exits_2(
    deftunes: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEFTUNES_EMBEDDED", "false")

    answer = deftunes("query", "select 1")

    assert answer.code == 2
    assert "DEFTUNES_WAREHOUSE_DSN" in answer.stderr


def test_env_masks_secrets(deftunes: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEFTUNES_API_TOKEN", "hunter2")

    for arguments in (["env"], ["env", "--json"]):
        answer = deftunes(*arguments)
        assert answer.code == 0
        assert "DEFTUNES_API_TOKEN" in answer.stdout
        assert "hunter2" not in answer.stdout + answer.stderr


def test_starting_the_command_line_imports_nothing_heavy() -> None:
    imported = imports_of("import deftunes.cli.app")

    assert {"deftunes", "typer"} <= imported
    assert imported & HEAVY == set()
    assert "rich.table" not in imported


def test_no_command_imports_pandas_until_spark_is_opened() -> None:
    command = (
        "from contextlib import suppress; from deftunes.cli.app import main; sys.argv = ['deftunes', 'env', '--json']\n"
        "with suppress(SystemExit): main()\n"
    )
    reading = "import deftunes.load.stage, deftunes.adapters.engine_duckdb, pyarrow; pyarrow.array([1])"
    spark = "from deftunes.adapters.no_pandas import show_pandas; show_pandas(); import pandas"

    assert "pandas" not in imports_of(command + reading)
    assert "pandas" in imports_of(f"{command}{reading}; {spark}")
    assert "pandas" in imports_of(reading), "else this test tries nothing"


def test_extract_imports_neither_spark_nor_dbt() -> None:
    modules = [path.stem for path in Path(extract.__path__[0]).glob("*.py") if path.stem != "__init__"]
    imported = imports_of("import " + ", ".join(f"deftunes.extract.{module}" for module in modules))

    assert {"songs", "users", "sessions"} <= set(modules)
    assert imported & {"pyspark", "pydeequ", "dbt", "pyiceberg"} == set()


@pytest.mark.parametrize(
    ("module", "unwanted"),
    [
        ("deftunes.publish.stage", {"pyspark", "pydeequ", "dbt", "psycopg2"}),
        ("deftunes.load.stage", {"pyspark", "pydeequ", "dbt", "requests"}),
        ("deftunes.model.stage", {"pyspark", "pydeequ", "pyiceberg", "requests"}),
        ("deftunes.resources", {"pyspark", "pydeequ", "dbt", "pyarrow", "pyiceberg", "psycopg2", "requests"}),
    ],
)
def test_a_stage_imports_only_what_it_needs(module: str, unwanted: set[str]) -> None:
    imported = imports_of(f"import {module}")

    assert "deftunes" in imported
    assert imported & unwanted == set()
