"""platform.json against the code it speaks of: settings, the command line, layout, rulesets, jars."""

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
import typer
from pydantic import SecretStr

from deftunes.adapters.jars import required
from deftunes.cli.app import app
from deftunes.cli.glue import command_of
from deftunes.core import layout
from deftunes.core.entities import Entity
from deftunes.core.settings import Settings, described
from deftunes.core.stages import PipelineName, Stage

ROOT = Path(__file__).resolve().parents[2]
PLATFORM: dict[str, Any] = json.loads((ROOT / "platform.json").read_text("utf-8"))
TASKS, JOBS, SECRETS = PLATFORM["tasks"], PLATFORM["glue"]["jobs"], PLATFORM["secrets"]
SHAPES = [*TASKS.values(), *JOBS.values()]
INTERVAL = ["--start", "2020-01-01", "--end", "2020-01-02"]
BY_ENTITY = {f"{stage}_{entity}" for stage, entity in itertools.product(Stage, Entity) if stage is not Stage.MODEL}
CHECKS = {f"check_{name}": name for name in PipelineName if name is not PipelineName.ALL}  # one a DAG
VARIABLES = {row.variable for row in described(Settings())}


def is_secret(variable: str) -> bool:
    return SecretStr.__name__ in str(Settings.model_fields[variable.removeprefix("DEFTUNES_").lower()].annotation)


def parsed(command: list[str]) -> Any:
    """The context of the command line as Typer understands it, without running it."""
    verbs: dict[str, Any] = vars(typer.main.get_command(app))["commands"]
    name, *arguments = command
    assert name in verbs, f"the CLI has no verb {name}"
    return verbs[name].make_context(name, list(arguments))


def test_each_stage_of_each_entity_is_a_task_and_two_stages_are_glue_jobs_too() -> None:
    assert set(TASKS) == {*BY_ENTITY, Stage.MODEL.value, *CHECKS}
    assert set(JOBS) == {f"{stage}_{entity}" for stage in (Stage.TRANSFORM, Stage.QUALITY) for entity in Entity}


@pytest.mark.parametrize("task", JOBS)
def test_a_task_and_a_glue_job_of_one_stage_differ_by_their_engine_only(task: str) -> None:
    of_task, of_job = set(TASKS[task]["environment"]), set(JOBS[task]["environment"])
    assert of_task - of_job == {"DEFTUNES_ENGINE", "DEFTUNES_ENGINE_MEMORY"}
    assert of_job - of_task == {"DEFTUNES_SPARK_PROVIDED"}


def test_the_image_without_spark_is_told_its_engine() -> None:
    told = {task for task, shape in TASKS.items() if "DEFTUNES_ENGINE" in shape["environment"]}
    assert told == {task for task, shape in TASKS.items() if shape["image"] == "transform"}
    assert told == {task for task in BY_ENTITY if task.startswith(("transform_", "quality_", "publish_"))}


@pytest.mark.parametrize("task", TASKS)
def test_a_tasks_command_is_the_clis(task: str) -> None:
    context = parsed([*TASKS[task]["command"], *INTERVAL])
    assert context.info_name == task.partition("_")[0]
    assert context.params["as_json"] is True
    assert context.params.get("pipeline") == CHECKS.get(task)
    assert context.params.get("entity") == (Entity(task.partition("_")[2]) if task in BY_ENTITY else None)


@pytest.mark.parametrize("task", JOBS)
def test_a_glue_jobs_arguments_become_the_clis(task: str) -> None:
    shape = JOBS[task]
    given = [*itertools.chain.from_iterable(shape["arguments"].items()), *INTERVAL]
    settings = [text for name in shape["environment"] for text in (f"--{name}", "1")]
    command, found = command_of([*given, *settings, "--JOB_NAME", shape["name"]])
    assert f"{command[0]}_{command[1]}" == task
    assert parsed(command).params["entity"] == Entity(command[1])
    assert set(found) == set(shape["environment"])


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.get("family", shape.get("name")))
def test_environment_keys_are_settings_and_not_secret(shape: dict[str, Any]) -> None:
    names = shape["environment"]
    assert names == sorted(set(names))
    assert {"AWS_REGION", "DEFTUNES_EMBEDDED", "DEFTUNES_HOME", "DEFTUNES_LAKE"} <= set(names) <= VARIABLES
    assert not [name for name in names if name.startswith("DEFTUNES_") and is_secret(name)]


@pytest.mark.parametrize("stage", [Stage.TRANSFORM, Stage.QUALITY, Stage.PUBLISH])
def test_what_names_a_batch_is_the_same_in_all_its_stages(stage: Stage) -> None:
    for entity, shapes in itertools.product(Entity, (TASKS, JOBS)):
        if f"{stage}_{entity}" not in shapes:
            continue
        names = set(shapes[f"{stage}_{entity}"]["environment"])
        assert "DEFTUNES_MAX_PRICE" in names
        assert ("DEFTUNES_LOOK_BACK" in names) is (entity is Entity.SESSIONS)


def test_secrets_become_secret_settings() -> None:
    for identifier, secret in SECRETS.items():
        if secret["variable"] == "PGPASSWORD":  # libpq's own, beside a DSN without one
            continue
        assert secret["variable"] in VARIABLES, identifier
        assert is_secret(secret["variable"]), identifier
    assert len({secret["name"] for secret in SECRETS.values()}) == len(SECRETS)
    # A partial ARN that ends like AWS's own suffix (dash and six characters) would name another secret.
    assert not [s["name"] for s in SECRETS.values() if len(s["name"].rpartition("-")[2]) == 6]


@pytest.mark.parametrize("task", TASKS)
def test_a_task_names_things_that_are_there(task: str) -> None:
    shape = TASKS[task]
    assert shape["image"] in PLATFORM["images"]
    assert shape["log_group"] in PLATFORM["log_groups"]
    assert set(shape["secrets"]) <= set(SECRETS)
    assert ("warehouse_dsn" in shape["secrets"]) is task.startswith(("load_", "model", "check_"))


def test_names_are_the_codes_own() -> None:
    assert PLATFORM["database"] == PLATFORM["schemas"]["transform"] == layout.DATABASE
    assert PLATFORM["schemas"]["serving"] == layout.SERVING_SCHEMA
    assert PLATFORM["schemas"]["bi_views"] == layout.BI_SCHEMA
    assert PLATFORM["schemas"]["control"] == layout.CONTROL_SCHEMA
    names = [*(t["family"] for t in TASKS.values()), *(j["name"] for j in JOBS.values())]
    assert len(set(names)) == len(names)


def test_each_entity_has_its_ruleset() -> None:
    assert set(PLATFORM["rulesets"]) == set(Entity)
    for entity, ruleset in PLATFORM["rulesets"].items():
        assert (ROOT / ruleset["file"]).stem == entity
        assert (ROOT / ruleset["file"]).is_file()


def test_glue_is_given_the_jars_it_lacks() -> None:
    pinned = {f"{jar.artifact}-{jar.version}.jar" for jar in required()}
    assert set(PLATFORM["glue"]["jars"]) <= pinned
    # The others come with Glue 5.1: Iceberg by --datalake-formats, S3A with Spark.
    left = {jar.artifact for jar in required() if f"{jar.artifact}-{jar.version}.jar" not in PLATFORM["glue"]["jars"]}
    assert left == {
        "iceberg-spark-runtime-3.5_2.12", "iceberg-aws-bundle", "hadoop-aws", "aws-java-sdk-core", "aws-java-sdk-s3",
        "aws-java-sdk-dynamodb",
    }  # fmt: skip
