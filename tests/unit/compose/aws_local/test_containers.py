from typing import Any

import pytest
from docker.errors import NotFound
from ministack.services import ecs

from aws_local.containers import ContainerPolicy, apply_policy, detect_removed_containers, without_ministack_s3

POLICY = ContainerPolicy({"AWS_ENDPOINT_URL": "http://aws:4566", "AWS_ACCESS_KEY_ID": "role"}, memory=2432)


def task(memory: str, *, is_read_only: bool = True) -> dict[str, Any]:
    container = {"readonlyRootFilesystem": is_read_only, "mountPoints": [{"containerPath": "/tmp"}]}
    return {"memory": memory, "containerDefinitions": [container]}


def asked(kind: str, **more: Any) -> dict[str, Any]:
    own = {"AWS_ENDPOINT_URL": "http://172.18.0.3:4566", "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://172.18.0.3/x"}
    return {"labels": {"ministack": kind}, "environment": {**own, "DEFTUNES_LAKE": "s3://lake"}, "command": [], **more}


@pytest.mark.parametrize("kind", ["ecs", "glue"])
def test_nothing_of_the_host_goes_into_a_container(kind: str) -> None:
    wanted = {
        "privileged": True, "volumes": ["/:/host:rw"], "network_mode": "host", "pid_mode": "host",
        "devices": ["/dev/sda"], "cap_add": ["SYS_ADMIN"], "platform": "linux/amd64",
        "name": "x", "network": "deftunes",
    }  # fmt: skip
    options = apply_policy(asked(kind, **wanted), POLICY, task("512"))
    assert (options["name"], options["network"], options["cap_drop"]) == ("x", "deftunes", ["ALL"])
    assert not set(options) & (set(wanted) - {"name", "network"})


class Engine:
    """The part of the engine's client that is asked for containers."""

    def __init__(self, *containers: str) -> None:
        self.containers = self
        self.running = set(containers)

    def get(self, name: str) -> "Engine":
        if name not in self.running:
            raise NotFound(name)
        return self


@pytest.mark.parametrize(("running", "ends"), [(["a"], []), ([], [137])])
def test_a_task_whose_container_was_removed_has_ended(
    monkeypatch: pytest.MonkeyPatch, running: list[str], ends: list[int]
) -> None:
    ended: list[int] = []
    monkeypatch.setattr(ecs, "_mark_task_stopped", lambda *asked: ended.append(asked[-1]))
    look = detect_removed_containers(lambda *_: None)
    look({"taskArn": "arn", "lastStatus": "RUNNING", "_docker_ids": ["a"]}, Engine(*running))
    look({"taskArn": "arn", "lastStatus": "STOPPED", "_docker_ids": ["a"]}, Engine())
    assert ended == ends


def test_a_container_gets_what_its_role_has_and_nothing_that_sdks_refuse() -> None:
    options = apply_policy(asked("ecs"), POLICY, task("1024"))
    assert options["environment"] == {
        "AWS_ENDPOINT_URL": "http://aws:4566",
        "AWS_ACCESS_KEY_ID": "role",
        "DEFTUNES_LAKE": "s3://lake",
    }
    assert options["cap_drop"] == ["ALL"]
    assert options["init"] is True


@pytest.mark.parametrize(("defined", "given"), [("1024", 1024), ("2432", 2432), ("8192", 2432)])
def test_memory_is_the_tasks_and_never_more_than_the_machine_has(defined: str, given: int) -> None:
    options = apply_policy(asked("ecs"), POLICY, task(defined))
    assert options["mem_limit"] == options["memswap_limit"] == given << 20


def test_a_task_writes_where_its_definition_says_and_nowhere_else() -> None:
    options = apply_policy(asked("ecs"), POLICY, task("512"))
    assert options["read_only"] is True
    assert [(mount["Target"], mount["Type"], mount["Source"]) for mount in options["mounts"]] == [
        ("/tmp", "volume", None)
    ]
    assert apply_policy(asked("ecs"), POLICY, task("512", is_read_only=False))["read_only"] is False


def test_a_glue_jobs_s3_is_the_lake() -> None:
    command = ["spark-submit", "--master", "local[*]",
               "--conf", "spark.driver.extraJavaOptions=-Daws.endpointUrlS3=http://own",
               "--conf", "spark.ui.enabled=no",
               "--conf", "spark.hadoop.fs.s3a.access.key=test", "--conf", "spark.sql.catalog.spark_catalog.s3.x=y",
               "/tmp/script.py", "--conf-like", "spark.hadoop.fs.s3a.kept"]  # fmt: skip
    options = apply_policy(asked("glue", command=command), POLICY, None)
    assert options["command"] == [
        "spark-submit", "--master", "local[*]", "--conf", "spark.ui.enabled=no", "/tmp/script.py", "--conf-like",
        "spark.hadoop.fs.s3a.kept",
    ]  # fmt: skip
    assert options["mem_limit"] == 2432 << 20
    assert "read_only" not in options


def test_a_last_word_that_begins_an_option_is_kept() -> None:
    assert without_ministack_s3(["a", "--conf"]) == ["a", "--conf"]


@pytest.mark.parametrize("labels", [{}, {"ministack": "rds"}])
def test_other_containers_are_left_as_they_are(labels: dict[str, str]) -> None:
    arguments = {"labels": labels, "command": "sleep"}
    assert apply_policy(arguments, POLICY, None) is arguments
