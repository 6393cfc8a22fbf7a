"""compose.yaml and what its init makes: closed, within 8 GB, and of the shapes that Terraform creates."""

import json
import re
from typing import Any

import pytest
import yaml

import definitions
from deftunes.core.settings import Settings, described
from support.terraform import ACCOUNT, PLATFORM, REGION, ROOT, VARIABLES, Plan

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
ONCE = {name for name, service in SERVICES.items() if service["restart"] == "no"}
LASTING = SERVICES.keys() - ONCE
BASES = {"postgres:17-trixie"}
SOCKET = "/var/run/docker.sock"
VARIABLE = re.compile(r"\$\{(\w+):-([^}]*)\}")
EIGHT_GB = 8 * 1024


def mebibytes(text: str) -> int:
    number, unit = int(text[:-1]), text[-1]
    return number * {"m": 1, "g": 1024}[unit]


def test_services_are_found() -> None:
    assert {"postgres", "minio", "aws-local", "purchase-api", "airflow-scheduler", "superset"} <= LASTING
    assert {
        "init", "databases", "catalogue", "airflow-migrate", "extract", "transform", "glue", "dbt", "superset-assets",
        "cli",
    } == ONCE  # fmt: skip


@pytest.mark.parametrize("name", SERVICES)
def test_an_image_is_pinned_and_of_ours_or_a_base(name: str) -> None:
    service = SERVICES[name]
    if service["image"] in BASES:
        assert "build" not in service
        return
    assert re.fullmatch(r"deftunes/[a-z-]+:\$\{DEFTUNES_RELEASE:-dev\}", service["image"])
    # A registry's image of that name is somebody else's.
    assert service["pull_policy"] == "never"


@pytest.mark.parametrize("name", [name for name, service in SERVICES.items() if "build" in service])
def test_an_image_is_the_target_of_its_name_and_says_what_it_is(name: str) -> None:
    service = SERVICES[name]
    assert (ROOT / service["build"]["dockerfile"]).is_file()
    assert service["image"].partition(":")[0] == f"deftunes/{service['build']['target']}"
    labels = {
        name.removeprefix("org.opencontainers.image."): value for name, value in service["build"]["labels"].items()
    }
    assert labels == {
        "version": "${DEFTUNES_RELEASE:-dev}",
        "revision": "${DEFTUNES_REVISION:-unknown}",
        "source": "${DEFTUNES_SOURCE:-unknown}",
    }


def test_every_image_is_built_by_one_path() -> None:
    group = re.findall(r'"([a-z-]+)"', (ROOT / "docker-bake.hcl").read_text("utf-8").partition("targets")[2])
    assert len(group) > 5
    # By one service each: two builds of one tag at once can meet in the engine's store.
    building = {name: service["image"] for name, service in SERVICES.items() if "build" in service}
    assert set(group) == set(building)
    assert len(set(building.values())) == len(building)
    assert set(building.values()) == {service["image"] for service in SERVICES.values()} - BASES


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_a_service_is_closed(name: str) -> None:
    service = SERVICES[name]
    assert all(str(port).startswith("127.0.0.1:") for port in service.get("ports", []))
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["cap_drop"] == ["ALL"] or name == "postgres"
    assert service["networks"] == ["platform"]
    assert "privileged" not in service
    has_socket = any(SOCKET in str(volume) for volume in service.get("volumes", []))
    assert has_socket is (name == "aws-local")
    assert (str(service.get("user", "")).startswith("0")) is (name == "aws-local")


@pytest.mark.parametrize("name", sorted(LASTING))
def test_a_lasting_service_says_how_it_is_and_comes_back(name: str) -> None:
    service = SERVICES[name]
    assert service["restart"] == "unless-stopped"
    assert service["healthcheck"]["test"][0] == "CMD"
    assert service["init"] is True


@pytest.mark.parametrize("name", sorted(ONCE - {"cli"}))
def test_something_waits_for_what_runs_once(name: str) -> None:
    """Or `docker compose up --wait` takes its end for a failure."""
    waiting = [
        service["depends_on"][name]["condition"]
        for service in SERVICES.values()
        if name in service.get("depends_on", {})
    ]
    assert waiting
    assert set(waiting) == {"service_completed_successfully"}


def test_airflow_begins_when_what_its_tasks_need_is_there() -> None:
    needed: set[str] = set()
    rest = ["airflow-scheduler"]
    while rest:
        name = rest.pop()
        needed.add(name)
        rest += [other for other in SERVICES[name].get("depends_on", {}) if other not in needed]
    assert needed >= SERVICES.keys() - {"airflow-dag-processor", "cli", "superset", "superset-assets"}


def test_all_of_it_fits_into_8_gb() -> None:
    """With as many stages at once as Airflow starts, each with the most that the local AWS gives one."""
    services = sum(mebibytes(SERVICES[name]["mem_limit"]) for name in LASTING)
    at_once = int(SERVICES["airflow-scheduler"]["environment"]["AIRFLOW__CORE__PARALLELISM"])
    command = SERVICES["aws-local"]["command"]
    stage = int(command[command.index("--memory") + 1])
    assert services + at_once * stage <= EIGHT_GB
    assert all("mem_limit" in service for service in SERVICES.values())
    heap = mebibytes(SERVICES["init"]["environment"]["DEFTUNES_SPARK_MEMORY"])
    assert heap + 256 <= stage
    # Beside what the engine counts as its own there are Python and Arrow.
    assert mebibytes(SERVICES["init"]["environment"]["DEFTUNES_ENGINE_MEMORY"]) + 1024 <= stage


def test_the_example_has_every_variable_with_its_default() -> None:
    used = dict(VARIABLE.findall((ROOT / "compose.yaml").read_text("utf-8")))
    for name in ("DEFTUNES_REVISION", "DEFTUNES_SOURCE", "COMPOSE_PROJECT_NAME"):  # make images, compose itself
        del used[name]
    lines = (ROOT / ".env.example").read_text("utf-8").splitlines()
    example = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    assert example == used
    # A variable has one default, wherever it stands.
    everywhere = set(VARIABLE.findall((ROOT / "compose.yaml").read_text("utf-8")))
    assert len(everywhere) == len({name for name, _ in everywhere})


def test_volumes_are_named_and_used() -> None:
    mounted = {str(volume) for service in SERVICES.values() for volume in service.get("volumes", [])}
    named = {volume.partition(":")[0] for volume in mounted if SOCKET not in volume}
    assert named == set(COMPOSE["volumes"])


def test_settings_are_settings() -> None:
    names = {row.variable for row in described(Settings())}
    settings = COMPOSE["x-settings"]
    assert set(settings) <= names
    assert str(Settings().max_price) == settings["DEFTUNES_MAX_PRICE"]


def test_no_container_of_a_stage_is_told_a_secret_but_by_the_secrets_manager() -> None:
    secret = {entry["variable"] for entry in PLATFORM["secrets"].values()}
    for shape in [*PLATFORM["tasks"].values(), *PLATFORM["glue"]["jobs"].values()]:
        assert not secret & set(shape["environment"])
    handed_on = {name for name in SERVICES["aws-local"]["environment"] if name.startswith("CONTAINER_")}
    assert handed_on == {
        "CONTAINER_AWS_ACCESS_KEY_ID", "CONTAINER_AWS_ENDPOINT_URL", "CONTAINER_AWS_ENDPOINT_URL_S3",
        "CONTAINER_AWS_SECRET_ACCESS_KEY",
    }  # fmt: skip


##### init against Terraform


@pytest.fixture
def deployment(plan: Plan) -> Any:
    """The account of the plan, with the settings that its tasks and jobs have."""
    settings: dict[str, str] = {}
    for resource in plan.of("aws_ecs_task_definition"):
        for container in json.loads(resource.values.get("container_definitions") or "[]"):
            settings |= {entry["name"]: entry["value"] for entry in container["environment"]}
    for resource in plan.of("aws_glue_job"):
        arguments = resource.values["default_arguments"]
        settings |= {n.removeprefix("--"): v for n, v in arguments.items() if n.startswith(("--DEFTUNES_", "--AWS_"))}
    secrets = {name for name in PLATFORM["secrets"] if name != "songs_password"}
    registry = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/"
    return definitions.Deployment(ACCOUNT, REGION, VARIABLES["release"], settings, secrets, registry)


def test_init_makes_the_tasks_that_terraform_makes(plan: Plan, deployment: Any) -> None:
    compared = 0
    for task in PLATFORM["tasks"]:
        (resource,) = [r for r in plan.of("aws_ecs_task_definition") if r.address.endswith(f'["{task}"]')]
        if "container_definitions" in resource.unknown:  # one of its secrets is named by AWS, later
            continue
        compared += 1
        made = definitions.task_definition(PLATFORM, task, deployment)
        values = resource.values
        assert made["containerDefinitions"] == json.loads(values["container_definitions"]), task
        for name, attribute in (
            ("family", "family"),
            ("requiresCompatibilities", "requires_compatibilities"),
            ("networkMode", "network_mode"),
            ("cpu", "cpu"),
            ("memory", "memory"),
        ):
            assert made[name] == values[attribute], (task, name)
        assert made["runtimePlatform"] == {
            "operatingSystemFamily": values["runtime_platform"][0]["operating_system_family"],
            "cpuArchitecture": values["runtime_platform"][0]["cpu_architecture"],
        }
        assert made["ephemeralStorage"] == {"sizeInGiB": values["ephemeral_storage"][0]["size_in_gib"]}
        assert [volume["name"] for volume in made["volumes"]] == [volume["name"] for volume in values["volume"]]
    assert compared >= len(PLATFORM["tasks"]) - 1


def test_init_makes_the_glue_jobs_that_terraform_makes(plan: Plan, deployment: Any) -> None:
    found = {resource.values["name"]: resource.values for resource in plan.of("aws_glue_job")}
    for job, shape in PLATFORM["glue"]["jobs"].items():
        values = found[shape["name"]]
        made = definitions.glue_job(PLATFORM, job, deployment)
        arguments = values["default_arguments"]
        assert arguments.items() >= made["DefaultArguments"].items(), job
        # At home the wheels are in the image.
        assert set(arguments) - set(made["DefaultArguments"]) == {
            "--additional-python-modules",
            "--python-modules-installer-option",
        }
        command = values["command"][0]
        assert made["Command"] == {
            "Name": command["name"],
            "PythonVersion": command["python_version"],
            "ScriptLocation": command["script_location"],
        }
        assert made["ExecutionProperty"] == {
            "MaxConcurrentRuns": values["execution_property"][0]["max_concurrent_runs"]
        }
        for name, attribute in (
            ("Name", "name"),
            ("Description", "description"),
            ("GlueVersion", "glue_version"),
            ("WorkerType", "worker_type"),
            ("MaxRetries", "max_retries"),
            ("ExecutionClass", "execution_class"),
        ):
            assert made[name] == values[attribute], (job, name)


def test_buckets_have_terraforms_names(plan: Plan, deployment: Any) -> None:
    made = {definitions.bucket(PLATFORM, name, deployment) for name in PLATFORM["buckets"]}
    assert made == {resource.values["bucket"] for resource in plan.of("aws_s3_bucket")}


def test_the_lake_of_compose_is_the_bucket_that_init_makes() -> None:
    deployment = definitions.Deployment("000000000000", COMPOSE["x-settings"]["AWS_REGION"], "dev", {}, ())
    assert COMPOSE["x-settings"]["DEFTUNES_LAKE"] == f"s3://{definitions.bucket(PLATFORM, 'lake', deployment)}"
