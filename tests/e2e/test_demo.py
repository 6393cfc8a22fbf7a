"""`docker compose up`, and nothing touched: the production DAGs bring gold to what the shop has sold."""

import json
import re
from decimal import Decimal

import pytest

from deftunes.core import layout
from support.containers import API, ROOT, SONGS, Airflow, Platform
from support.terraform import PLATFORM

PASSWORDS = [
    password for _, password in re.findall(r"(\w+PASSWORD):-([^}]+)", (ROOT / "compose.yaml").read_text("utf-8"))
]


def test_every_task_of_both_dags_succeeded_at_its_first_try(airflow: Airflow) -> None:
    ran = set()
    for dag in (SONGS, API):
        for run in airflow.runs(dag):
            tries = airflow.tries(dag, run)
            assert set(tries.values()) == {1}, tries
            ran |= set(tries)
    assert ran == {*PLATFORM["tasks"], *PLATFORM["glue"]["jobs"]}


def test_gold_is_the_shops_own_truth(platform: Platform, airflow: Airflow) -> None:
    truth = platform.truth(platform.days)

    revenue = platform.query(
        f"select currency, sum(price) as sold from {layout.SERVING_SCHEMA}.fact_session group by 1"
    )
    artists = platform.query(f"select artist_id, currency, total_sales from {layout.BI_SCHEMA}.sales_per_artist_vw")

    assert len(revenue) == 3
    assert {row["currency"]: f"{Decimal(str(row['sold'])):.2f}" for row in revenue} == truth["revenue"]
    assert sum(Decimal(str(row["total_sales"])) for row in artists) == sum(map(Decimal, truth["revenue"].values()))


def test_the_command_line_runs_in_a_container(platform: Platform, airflow: Airflow) -> None:
    assert "nothing new" in platform.cli("status") or "done" in platform.cli("status")
    (row,) = platform.query("select count(*) as songs from deftunes_serving.dim_songs where not is_inferred")
    assert row == {"songs": 10000}


def test_no_secret_is_in_a_definition_or_a_log(platform: Platform, airflow: Airflow) -> None:
    script = (
        "import boto3, json, os\n"
        "ecs, glue, logs = (boto3.client(s, region_name=os.environ['AWS_REGION']) for s in ('ecs', 'glue', 'logs'))\n"
        "print(json.dumps([ecs.describe_task_definition(taskDefinition=arn)['taskDefinition']\n"
        "  for arn in ecs.list_task_definitions()['taskDefinitionArns']], default=str))\n"
        "print(json.dumps(glue.get_jobs()['Jobs'], default=str))\n"
        "print(json.dumps([logs.get_log_events(logGroupName=g['logGroupName'], logStreamName=s['logStreamName'])\n"
        "  for g in logs.describe_log_groups()['logGroups']\n"
        "  for s in logs.describe_log_streams(logGroupName=g['logGroupName'])['logStreams']], default=str))\n"
    )
    said = platform.compose("run", "--rm", "-T", "--entrypoint", "python", "cli", "-c", script).stdout
    tasks, jobs, events = (json.loads(line) for line in said.splitlines())
    assert {task["family"] for task in tasks} == {shape["family"] for shape in PLATFORM["tasks"].values()}
    assert {job["Name"] for job in jobs} == {shape["name"] for shape in PLATFORM["glue"]["jobs"].values()}
    # What Glue runs here logs there.
    assert len(events) >= len(PLATFORM["tasks"].keys() - PLATFORM["glue"]["jobs"].keys()) > 10
    assert any(event["events"] for event in events)
    assert len(PASSWORDS) > 4
    assert not [word for word in PASSWORDS if word in said]


@pytest.mark.parametrize(
    "service", ["postgres", "minio", "aws-local", "purchase-api", "airflow-api-server", "superset"]
)
def test_a_service_is_published_on_this_machine_only(platform: Platform, service: str) -> None:
    ports = platform.container(service).attrs["NetworkSettings"]["Ports"]
    hosts = {binding["HostIp"] for bindings in ports.values() for binding in bindings or ()}
    assert hosts == {"127.0.0.1"}


def test_only_the_local_aws_is_root_and_has_the_engines_socket(platform: Platform) -> None:
    found = platform.engine.containers.list(all=True, filters={"label": "com.docker.compose.project=deftunes-e2e"})
    assert len(found) > 10
    for container in found:
        service = container.labels["com.docker.compose.service"]
        mounts = {mount["Destination"] for mount in container.attrs["Mounts"]}
        assert ("/var/run/docker.sock" in mounts) is (service == "aws-local"), service
        # PostgreSQL's own entry point gives root up before it serves.
        if service != "postgres":
            assert container.attrs["Config"]["User"].startswith("0") is (service == "aws-local"), service
