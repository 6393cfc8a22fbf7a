"""The DAG files as the real Airflow reads them: ids, edges, policy, what is rendered, and what they may import."""

import ast
import re
import sys
from typing import Any

import pytest

from deftunes.cli.glue import command_of
from deftunes.core import errors
from deftunes.core.settings import REPOSITORY
from support.airflow import DAY, PLATFORM, SETTINGS, Asked
from support.commands import parse
from support.documents import table_after

DAGS = REPOSITORY / "dags"
SONGS, API = "deftunes_songs_pipeline_dag", "deftunes_api_pipeline_dag"
EDGES = {
    SONGS: {
        "extract_songs": ["transform_songs"],
        "transform_songs": ["quality_songs"],
        "quality_songs": ["publish_songs"],
        "publish_songs": ["load_songs"],
        "load_songs": ["model"],
        "model": ["check_songs"],
        "check_songs": [],
    },
    API: {
        "extract_users": ["transform_users"],
        "transform_users": ["quality_users"],
        "quality_users": ["publish_users"],
        "publish_users": ["publish_sessions"],
        "extract_sessions": ["transform_sessions"],
        "transform_sessions": ["quality_sessions"],
        "quality_sessions": ["publish_sessions"],
        "publish_sessions": ["load_sessions", "load_users"],
        "load_users": ["model"],
        "load_sessions": ["model"],
        "model": ["check_api"],
        "check_api": [],
    },
}
TASKS = [(dag, task) for dag, tasks in EDGES.items() for task in tasks]
HOURS = 3600


def words_of(rendered: dict[str, Any]) -> list[str]:
    """The command line that a rendered task stands for."""
    if "script_args" in rendered:
        job = next(job for job in PLATFORM["glue"]["jobs"].values() if job["name"] == rendered["job_name"])
        arguments = {**job["arguments"], **rendered["script_args"]}
        return command_of([word for pair in arguments.items() for word in pair])[0]
    if "container_overrides" in rendered:
        return list(rendered["container_overrides"]["command"])
    (override,) = rendered["overrides"]["containerOverrides"]
    assert override.keys() == {"name", "command"}
    assert override["name"] == PLATFORM["container"]
    return list(override["command"])


def test_both_dags_are_read_without_an_error_or_a_warning(airflow: Asked) -> None:
    assert airflow.answer["errors"] == {}  # the probe turns every warning of a DAG file into one
    assert {dag: {name: task["downstream"] for name, task in found["tasks"].items()}
            for dag, found in airflow.answer["dags"].items()} == EDGES  # fmt: skip


def test_a_dag_file_costs_little_beside_airflow(airflow: Asked) -> None:
    assert airflow.answer["seconds"] < 1


@pytest.mark.parametrize("dag", EDGES)
def test_a_dag_survives_its_way_through_the_database(airflow: Asked, dag: str) -> None:
    assert airflow.answer["dags"][dag]["restored_tasks"] == sorted(EDGES[dag])


@pytest.mark.parametrize("dag", EDGES)
def test_a_dag_read_by_another_process_is_the_same_version(airflow: Asked, airflow_in_batch: Asked, dag: str) -> None:
    again = airflow_in_batch.answer["variants"]["the laptop's again"]
    assert again["digests"][dag] == airflow.answer["dags"][dag]["digest"]
    assert again["digests"][dag] != airflow_in_batch.answer["dags"][dag]["digest"]


@pytest.mark.parametrize("dag", EDGES)
def test_a_dag_runs_daily_from_the_first_day_one_run_at_a_time(airflow: Asked, dag: str) -> None:
    found = airflow.answer["dags"][dag]
    assert found["timetable"] == "CronDataIntervalTimetable"
    assert found["runs"][:2] == [
        ["2020-01-01T00:00:00+00:00", "2020-01-02T00:00:00+00:00"],
        ["2020-01-02T00:00:00+00:00", "2020-01-03T00:00:00+00:00"],
    ]
    assert (found["catchup"], found["max_active_runs"]) == (True, 1)
    assert found["tags"] == ["deftunes", "release 1.4.0"]


@pytest.mark.parametrize("dag", EDGES)
def test_first_and_last_day_come_from_the_settings(airflow_in_batch: Asked, dag: str) -> None:
    runs = airflow_in_batch.answer["dags"][dag]["runs"]
    assert [start[:10] for start, _ in runs] == ["2020-03-01", "2020-03-02", "2020-03-03"]


@pytest.mark.parametrize(("dag", "task"), TASKS)
def test_every_task_ends_is_tried_again_and_tells(airflow: Asked, dag: str, task: str) -> None:
    found = airflow.answer["dags"][dag]["tasks"][task]
    assert found["type"] == ("StageGlueJob" if task in PLATFORM["glue"]["jobs"] else "StageTask")
    assert HOURS <= found["timeout"] <= 5 * HOURS
    assert found["retries"] == (2 if task in PLATFORM["glue"]["jobs"] or task.startswith("check_") else 5)
    assert (found["retry_delay"], found["backoff"], found["callbacks"]) == (30, True, 1)
    assert found["pool"] == "default_pool"  # `model` is kept single by the warehouse's lock
    assert found["deferrable"] is False


@pytest.mark.parametrize(("dag", "task"), TASKS)
def test_a_task_looks_every_five_seconds_or_as_often_as_it_is_told(
    airflow: Asked, airflow_in_batch: Asked, dag: str, task: str
) -> None:
    by_kind = {
        "StageTask": {"awslogs_fetch_interval", "waiter_delay"},
        "StageGlueJob": {"job_poll_interval"},
        "StageBatchJob": {"awslogs_fetch_interval"},
    }
    for asked, seconds in ((airflow, 5), (airflow_in_batch, 2)):
        found = asked.answer["dags"][dag]["tasks"][task]
        assert {name: found["polls"].get(name) for name in by_kind[found["type"]]} == dict.fromkeys(
            by_kind[found["type"]], seconds
        )


def test_published_tables_are_assets(airflow: Asked) -> None:
    def assets(kind: str) -> dict[str, list[str]]:
        tasks = [item for dag in airflow.answer["dags"].values() for item in dag["tasks"].items()]
        return {task: found[kind] for task, found in tasks if found[kind]}

    tables = {entity: f"{PLATFORM['schemas']['transform']}.{entity}" for entity in ("songs", "users", "sessions")}
    views = [PLATFORM["schemas"]["bi_views"]]
    assert assets("outlets") == {
        **{f"publish_{entity}": [table] for entity, table in tables.items()}, "check_songs": views, "check_api": views
    }  # fmt: skip
    assert assets("inlets") == {f"load_{entity}": [table] for entity, table in tables.items()}


@pytest.mark.parametrize(("dag", "task"), TASKS)
def test_a_task_is_the_stage_of_its_name_for_the_data_interval(airflow: Asked, dag: str, task: str) -> None:
    words = words_of(airflow.answer["dags"][dag]["cases"]["day"][task])
    parse(words, complete=True)
    stage, _, entity = task.partition("_")
    words.remove("--json")
    assert words == [stage, *([entity] if entity else []), "--start", DAY["start"][:10], "--end", DAY["end"][:10]]


@pytest.mark.parametrize(("dag", "task"), TASKS)
@pytest.mark.parametrize("case", ["range", "only a range"])
def test_the_params_take_the_place_of_the_interval(airflow: Asked, dag: str, task: str, case: str) -> None:
    words = words_of(airflow.answer["dags"][dag]["cases"][case][task])
    parse(words, complete=True)
    assert words[words.index("--start") + 1] == "2020-02-01"
    assert words[words.index("--end") + 1] == "2020-05-01"
    flags = ["--accept-shrink", "--full"] if dag == SONGS else ["--accept-shrink"]
    given = flags if case == "range" and task.startswith("extract_") else []
    assert [word for word in words if word in {"--accept-shrink", "--full"}] == given


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ("half a range", "got start 2020-02-01 and end None"),
        ("backwards", "got start 2020-02-02 and end 2020-02-01"),
        ("empty", "got start 2020-02-01 and end 2020-02-01"),
        ("nothing", "expected a data interval or the params start and end, got neither"),
    ],
)
@pytest.mark.parametrize(("dag", "task"), TASKS)
def test_what_is_no_range_is_refused(airflow: Asked, dag: str, task: str, case: str, said: str) -> None:
    rendered = airflow.answer["dags"][dag]["cases"][case][task]
    assert rendered.keys() == {"error"}
    assert rendered["error"].startswith("AirflowFailException: expected")  # which is not tried again
    assert said in rendered["error"]


@pytest.mark.parametrize("dag", EDGES)
def test_params_are_described_and_typed(airflow: Asked, dag: str) -> None:
    params = airflow.answer["dags"][dag]["params"]
    assert set(params) == {"start", "end", "accept_shrink"} | ({"full"} if dag == SONGS else set())
    for name, schema in params.items():
        assert schema["type"] == (["null", "string"] if name in {"start", "end"} else "boolean")


@pytest.mark.parametrize(("dag", "task"), TASKS)
def test_a_container_is_started_where_the_settings_say(airflow: Asked, dag: str, task: str) -> None:
    rendered = airflow.answer["dags"][dag]["cases"]["day"][task]
    if task in PLATFORM["glue"]["jobs"]:
        assert rendered["job_name"] == PLATFORM["glue"]["jobs"][task]["name"]
        return
    shape = PLATFORM["tasks"][task]
    assert rendered["task_definition"] == shape["family"]
    assert (rendered["cluster"], rendered["launch_type"]) == (SETTINGS["AIRFLOW__DEFTUNES__CLUSTER"], "FARGATE")
    assert rendered["network_configuration"]["awsvpcConfiguration"] == {
        "subnets": ["subnet-1", "subnet-2"], "securityGroups": ["sg-1"], "assignPublicIp": "DISABLED"
    }  # fmt: skip
    assert rendered["awslogs_group"] == PLATFORM["log_groups"][shape["log_group"]]


def test_a_stage_goes_to_batch_where_the_settings_say(airflow_in_batch: Asked) -> None:
    for dag, tasks in EDGES.items():
        found = airflow_in_batch.answer["dags"][dag]
        in_batch = {task for task in tasks if found["tasks"][task]["type"] == "StageBatchJob"}
        assert in_batch == {task for task in tasks if task.startswith(("extract_", "load_"))}
        for task in in_batch:
            rendered = found["cases"]["range"][task]
            family = PLATFORM["tasks"][task]["family"]
            assert (rendered["job_name"], rendered["job_definition"]) == (family, family)
            assert rendered["job_queue"] == "deftunes-backfill"
            parse(words_of(rendered), complete=True)
            assert found["tasks"][task]["timeout"] == 24 * HOURS


@pytest.mark.parametrize(("dag", "task"), TASKS)
def test_every_stage_is_a_container_where_the_settings_say(
    airflow: Asked, airflow_on_ecs: Asked, dag: str, task: str
) -> None:
    with_glue, found = airflow.answer["dags"][dag], airflow_on_ecs.answer["dags"][dag]
    assert found["tasks"][task]["type"] == "StageTask"
    rendered, shape = found["cases"]["day"][task], PLATFORM["tasks"][task]
    assert (rendered["task_definition"], rendered["awslogs_group"]) == (
        shape["family"], PLATFORM["log_groups"][shape["log_group"]]
    )  # fmt: skip
    assert (rendered["cluster"], rendered["launch_type"]) == (SETTINGS["AIRFLOW__DEFTUNES__CLUSTER"], "FARGATE")
    # The same command as Glue's, ids, edges and assets; a container's refusal is known, so it has a container's tries.
    assert [word for word in words_of(rendered) if word != "--json"] == [
        word for word in words_of(with_glue["cases"]["day"][task]) if word != "--json"
    ]
    assert found["tasks"][task]["retries"] == (2 if task.startswith("check_") else 5)
    differing = {"type", "retries", "polls"}
    assert {n: v for n, v in found["tasks"][task].items() if n not in differing} == {
        n: v for n, v in with_glue["tasks"][task].items() if n not in differing
    }


def test_a_container_of_transform_may_go_to_batch_like_any_other(airflow_in_batch: Asked) -> None:
    for text in airflow_in_batch.answer["variants"]["transform on ECS in batch"]["errors"].values():
        assert "expected the option batch_queue in section [deftunes]" in text


@pytest.mark.parametrize("dag", EDGES)
def test_glue_is_what_no_word_means(airflow: Asked, airflow_in_batch: Asked, dag: str) -> None:
    said = airflow_in_batch.answer["variants"]["transform on glue"]
    assert said["digests"][dag] == airflow.answer["dags"][dag]["digest"]


def test_another_word_than_glue_or_ecs_is_refused_at_parse(airflow_in_batch: Asked) -> None:
    said = airflow_in_batch.answer["variants"]["transform on lambda"]["errors"]
    assert len(said) == len(EDGES)
    for text in said.values():
        assert "expected glue or ecs as the option transform_on in section [deftunes]" in text
        assert "got lambda; see docs/aws.md" in text


@pytest.mark.parametrize("option", ["release", "subnets", "security_groups", "batch_queue"])
def test_a_missing_setting_is_named(airflow_in_batch: Asked, option: str) -> None:
    said = airflow_in_batch.answer["variants"][f"no {option}"]["errors"]
    assert len(said) == len(EDGES)
    for text in said.values():
        assert f"expected the option {option} in section [deftunes]" in text
        assert f"AIRFLOW__DEFTUNES__{option.upper()}" in text


@pytest.mark.parametrize("dag", EDGES)
def test_whoever_is_on_call_is_told_what_to_do(airflow: Asked, dag: str) -> None:
    text = airflow.answer["dags"][dag]["doc"]
    for command in re.findall(r"`deftunes ([^`]+)`", text):
        parse(command.split(), complete=False)
    assert "`deftunes quarantine list`" in text
    assert "clear" in text
    for param in airflow.answer["dags"][dag]["params"]:
        assert f"`{param}`" in text


def test_every_setting_is_documented() -> None:
    text = (DAGS / "deftunes_tasks.py").read_text("utf-8")
    read = set(re.findall(r'_(?:(?:list_)?option|choice)\(["\'](\w+)', text))
    assert {row[0].strip("`") for row in table_after(REPOSITORY / "docs" / "aws.md", "| Option |")} == read
    told = (REPOSITORY / "terraform/main.tf").read_text("utf-8").partition("dag_settings = {")[2]
    set_on_aws = set(re.findall(r"^    (\w+) +=", told.partition("\n  }")[0], re.MULTILINE))
    assert set_on_aws == read - {"end_date", "poll_seconds"}  # what only a laptop sets


def test_exit_codes_that_are_for_a_person_are_the_errors_own() -> None:
    tree = ast.parse((DAGS / "deftunes_operators.py").read_text("utf-8"))
    (found,) = [
        node.value for node in tree.body
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "_NEVER_RETRIED"
    ]  # fmt: skip
    assert set(ast.literal_eval(found)) == {errors.BadUsageError.exit_code, errors.RefusedError.exit_code}
    told = {int(row[0]): row[2] for row in table_after(REPOSITORY / "README.md", "| Exit code |")}
    assert told[errors.RetriableError.exit_code] == "the scheduler: try again"


def test_dag_files_import_airflow_and_nothing_of_the_jobs_or_the_sdks() -> None:
    files = sorted(DAGS.glob("*.py"))
    ours = {file.stem for file in files}
    assert {"deftunes_api_pipeline", "deftunes_songs_pipeline"} < ours
    for file in files:
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            for name in names:
                root = name.partition(".")[0]
                assert root in {"airflow", *ours} or root in sys.stdlib_module_names, f"{file.name}: {name}"


def test_managed_airflow_is_given_the_versions_that_are_tested() -> None:
    """Nothing in the file may look like a constraint: MWAA then leaves out its own, which holds all the rest."""
    text = (DAGS / "requirements-mwaa.txt").read_text("utf-8")
    pins = [line for line in text.splitlines() if not line.startswith("#")]
    ours = (REPOSITORY / "images" / "airflow" / "requirements.txt").read_text("utf-8")
    assert not re.search(r"-c |--constraint ", text)
    assert [pin.partition("==")[0] for pin in pins] == [
        "apache-airflow-providers-amazon", "apache-airflow-providers-standard"
    ]  # fmt: skip
    for pin in ["apache-airflow==3.0.6", *pins]:
        assert re.search(rf"^{re.escape(pin)} \\$", ours, re.MULTILINE), pin
    terraform = (REPOSITORY / "terraform/modules/orchestration/main.tf").read_text("utf-8")
    assert re.search(r'airflow_version\s+= "3\.0\.6"', terraform)
