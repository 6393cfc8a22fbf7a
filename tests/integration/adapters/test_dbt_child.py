"""dbt in a child: the same outcome, an end in order, and no success that was none."""

import json
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from deftunes.adapters.dbt import Project
from deftunes.adapters.dbt_child import DbtChild
from deftunes.adapters.warehouse import Warehouse
from deftunes.adapters.warehouse_drivers import open_warehouse
from deftunes.core.errors import DeftunesError
from support.warehouse import PROJECT

if TYPE_CHECKING:
    from support.stack import Stack

TABLE = "{{ config(materialized='table') }} "
MODELS = {"good": "select 1 as one", "bad": f"{TABLE} select 1 / 0 as none"}
SLOW = f"{TABLE} select pg_sleep(600)::text as slept"
ASLEEP = "select count(*) from pg_stat_activity where wait_event = 'PgSleep' and query like '%slept%'"


@pytest.fixture
def warehouse(stack: "Stack") -> Warehouse:
    assert stack.settings.warehouse_dsn
    return open_warehouse(stack.settings.warehouse_dsn.get_secret_value())


@pytest.fixture
def project(tmp_path: Path) -> Project:
    folder = tmp_path / "project"
    (folder / "models").mkdir(parents=True)
    shutil.copy(PROJECT / "profiles.yml", folder)
    settings = {"name": "few", "version": "1.0.0", "config-version": 2, "profile": "deftunes"}
    flags = {"flags": {"send_anonymous_usage_stats": False}}
    (folder / "dbt_project.yml").write_text(json.dumps({**settings, **flags}))
    for name, text in MODELS.items():
        (folder / "models" / f"{name}.sql").write_text(text)
    return Project(folder, tmp_path / "work", "local")


def test_a_child_that_was_not_needed_ends_without_a_word(project: Project, capfd: pytest.CaptureFixture[str]) -> None:
    child = DbtChild(project)
    for _ in range(600):
        if list(project.work.glob("ready/target/*")):
            break
        time.sleep(0.1)
    child.close()
    time.sleep(1)  # for Python's tracker of semaphores, which ends after it
    assert capfd.readouterr() == ("", "")


def test_builds_end_as_they_do_here(warehouse: Warehouse, project: Project) -> None:
    child = DbtChild(project)
    environment = warehouse.dbt_environment()
    here = project.build(environment, full_refresh=False)
    assert [node.name for node in here.failed] == ["bad"]
    assert here.models == 1
    for _ in range(2):
        assert project.build(environment, full_refresh=False, run=child.run) == here
    assert "division by zero" in project.log.read_text()
    child.close()


def test_a_child_that_was_killed_before_its_turn_is_done_without(warehouse: Warehouse, project: Project) -> None:
    child = DbtChild(project)
    os.kill(child._child.pid, signal.SIGKILL)
    while child._child.is_alive:
        time.sleep(0.02)
    assert project.build(warehouse.dbt_environment(), full_refresh=False, run=child.run).models == 1
    child.close()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_child_that_ends_while_it_builds_is_an_error(
    warehouse: Warehouse, project: Project, number: signal.Signals
) -> None:
    child = build_slowly(project)
    on_sleep(warehouse, lambda: os.kill(child._child.pid, number))
    with pytest.raises(DeftunesError, match="dbt's process ended while it built"):
        project.build(warehouse.dbt_environment(), full_refresh=False, run=child.run)
    child.close()
    cancel(warehouse)


def test_a_signal_to_the_command_cancels_what_the_warehouse_works_on(warehouse: Warehouse, project: Project) -> None:
    child = build_slowly(project)
    before = signal.signal(signal.SIGUSR1, stop)
    try:
        on_sleep(warehouse, lambda: os.kill(os.getpid(), signal.SIGUSR1))
        with pytest.raises(SystemExit, match="143"):
            project.build(warehouse.dbt_environment(), full_refresh=False, run=child.run)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert not child._child.is_alive
    assert asleep(warehouse) == 0


def stop(*_: object) -> None:
    raise SystemExit(143)


def build_slowly(project: Project) -> DbtChild:
    for name in MODELS:
        (project.folder / "models" / f"{name}.sql").unlink()
    (project.folder / "models" / "slow.sql").write_text(SLOW)
    return DbtChild(project)


def asleep(warehouse: Warehouse) -> int:
    return int(warehouse.query(ASLEEP).rows[0][0])


def on_sleep(warehouse: Warehouse, act: Callable[[], None]) -> None:
    def wait_and_act() -> None:
        while not asleep(warehouse):
            time.sleep(0.1)
        act()

    threading.Thread(target=wait_and_act, daemon=True).start()


def cancel(warehouse: Warehouse) -> None:
    with warehouse.hold(exclusive=False) as connection, connection.transaction():
        connection.run("select pg_terminate_backend(pid) from pg_stat_activity where wait_event = 'PgSleep'")
