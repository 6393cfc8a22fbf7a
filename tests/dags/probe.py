"""What the real Airflow makes of dags/. Runs in Airflow's own environment, asked and answering in JSON.

    python probe.py ANSWER < {"cases": {name: {start, end, params}}, "runs": {...}, "variants": {...}}

`cases` are rendered without a database; `runs` go through Airflow's own loop (`dag.test`), against whatever AWS the
environment names. `variants` are the same files read once more under other settings (null: unset).
"""

import functools
import hashlib
import json
import os
import sys
import time
import warnings
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

warnings.simplefilter("error")  # before Airflow: its deprecations are raised where a DAG file meets them
FOLDER = Path(__file__).resolve().parents[2] / "dags"
sys.path.append(str(FOLDER))  # as the DAG processor and the workers do

from airflow.models.dagbag import DagBag  # noqa: E402
from airflow.sdk import DAG  # noqa: E402
from airflow.serialization.serialized_objects import SerializedDAG  # noqa: E402


def describe(bag: DagBag, cases: dict[str, Any]) -> dict[str, Any]:
    return {
        "errors": bag.import_errors,
        "dags": {dag_id: describe_dag(dag, cases) for dag_id, dag in bag.dags.items()},
    }


def read_again(settings: dict[str, str | None]) -> dict[str, Any]:
    """The files under other settings: they are read whenever a DAG file is."""
    for name, value in settings.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    bag = DagBag(FOLDER, include_examples=False)
    return {"errors": bag.import_errors, "digests": {dag_id: digest(dag) for dag_id, dag in bag.dags.items()}}


def digest(dag: DAG) -> str:
    """What tells Airflow whether a DAG has changed."""
    return hashlib.sha256(json.dumps(SerializedDAG.to_dict(dag), sort_keys=True, default=str).encode()).hexdigest()


def describe_dag(dag: DAG, cases: dict[str, Any]) -> dict[str, Any]:
    serialized = SerializedDAG.to_dict(dag)
    restored = SerializedDAG.from_dict(json.loads(json.dumps(serialized)))
    return {
        "digest": digest(dag),
        "restored_tasks": sorted(restored.task_ids),
        "timetable": type(dag.timetable).__name__,
        "runs": planned_runs(restored),
        "catchup": dag.catchup,
        "max_active_runs": dag.max_active_runs,
        "tags": sorted(dag.tags),
        "doc": dag.doc_md,
        "params": {name: param.schema for name, param in dag.params.items()} if dag.params else {},
        "tasks": {task.task_id: describe_task(task) for task in dag.tasks},
        "cases": {name: render_all(dag, case) for name, case in cases.items()},
    }


def planned_runs(dag: Any) -> list[list[str]]:
    """The intervals of the first scheduled runs."""
    found: list[list[str]] = []
    last = None
    while len(found) < 5 and (info := dag.next_dagrun_info(last)):
        last = info.data_interval
        found.append([last.start.isoformat(), last.end.isoformat()])
    return found


def describe_task(task: Any) -> dict[str, Any]:
    return {
        "type": type(task).__name__,
        "downstream": sorted(task.downstream_task_ids),
        "timeout": task.execution_timeout and task.execution_timeout.total_seconds(),
        "retries": task.retries,
        "retry_delay": task.retry_delay.total_seconds(),
        "backoff": task.retry_exponential_backoff,
        "pool": task.pool,
        "callbacks": len(task.on_failure_callback or ()),
        "deferrable": task.deferrable,
        "outlets": [asset.name for asset in task.outlets],
        "inlets": [asset.name for asset in task.inlets],
        "polls": poll_seconds(task),
    }


def poll_seconds(task: Any) -> dict[str, float]:
    """How often the operator looks at what it has started, by the name of the attribute that says so."""
    names = ("awslogs_fetch_interval", "waiter_delay", "job_poll_interval")
    found = {name: getattr(task, name) for name in names if hasattr(task, name)}
    return {name: every.total_seconds() if isinstance(every, timedelta) else every for name, every in found.items()}


def render_all(dag: DAG, case: dict[str, Any]) -> dict[str, Any]:
    start, end = (datetime.fromisoformat(case[name]) if case.get(name) else None for name in ("start", "end"))
    params = {name: case.get("params", {}).get(name, param.value) for name, param in dict(dag.params.items()).items()}
    rendered = {}
    for task in dag.tasks:
        copied = task.prepare_for_execution()
        context = {"params": params, "data_interval_start": start, "data_interval_end": end, "dag": dag, "task": copied}
        try:
            copied.render_template_fields(context, dag.get_template_env())
        except Exception as error:  # noqa: BLE001 - the answer is which
            rendered[task.task_id] = {"error": f"{type(error).__name__}: {error}"}
        else:
            rendered[task.task_id] = {
                name: value for name in copied.template_fields if (value := getattr(copied, name, None)) is not None
            }
    return rendered


def run(bag: DagBag, asked: dict[str, Any]) -> dict[str, Any]:
    """One run without Airflow's waits."""
    dag: Any = bag.dags[asked["dag"]]
    if only := asked.get("only"):
        dag = dag.partial_subset(only, include_upstream=False, include_downstream=False)
    for task in dag.tasks:
        task.retry_delay = timedelta(0)
        task.retry_exponential_backoff = False
        task.retries = asked.get("retries", task.retries)
        for name in ("waiter_delay", "job_poll_interval"):
            if hasattr(task, name):
                setattr(task, name, 0.2)
        if hasattr(task, "awslogs_fetch_interval"):
            task.awslogs_fetch_interval = timedelta(seconds=0.2)
        if asked.get("timeout"):
            task.execution_timeout = timedelta(seconds=asked["timeout"])
    result = dag.test(logical_date=datetime.fromisoformat(asked["at"]), run_conf=asked.get("conf"))
    return {
        "state": str(result.state),
        "tasks": {ti.task_id: [str(ti.state), ti.try_number] for ti in result.get_task_instances()},
    }


def prepare_runs(bag: DagBag) -> None:
    """What the DAG processor has done before a run, and economies of seconds per task."""
    import structlog
    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from airflow.providers.amazon.aws.hooks.batch_client import BatchClientHook
    from airflow.sdk.execution_time import supervisor

    DagBundlesManager().sync_bundles_to_db()
    bag.sync_to_db("dags-folder", None)
    supervisor.in_process_api_server = functools.cache(supervisor.in_process_api_server)
    BatchClientHook.DEFAULT_DELAY_MIN = BatchClientHook.DEFAULT_DELAY_MAX = 0
    structlog.configure(
        [structlog.processors.format_exc_info, structlog.processors.LogfmtRenderer()], cache_logger_on_first_use=False
    )


def emitted() -> list[list[str]]:
    """The assets of which the runs told, and by which task."""
    from airflow.models.asset import AssetEvent
    from airflow.utils.session import create_session

    with create_session() as session:
        return sorted([event.source_task_id, event.asset.name] for event in session.query(AssetEvent))


def main() -> None:
    asked = json.load(sys.stdin)
    import airflow.providers.amazon.aws.operators.batch
    import airflow.providers.amazon.aws.operators.ecs
    import airflow.providers.amazon.aws.operators.glue  # noqa: F401

    started = time.perf_counter()
    bag = DagBag(FOLDER, include_examples=False)
    seconds = time.perf_counter() - started
    answer = {"seconds": seconds, **describe(bag, asked.get("cases", {}))}
    warnings.simplefilter("default")  # from here on it is Airflow's own code that runs
    if asked.get("runs"):
        prepare_runs(bag)
    answer["runs"] = {name: run(bag, wanted) for name, wanted in asked.get("runs", {}).items()}
    answer["variants"] = {name: read_again(settings) for name, settings in asked.get("variants", {}).items()}
    answer["emitted"] = emitted() if asked.get("runs") else []
    Path(sys.argv[1]).write_text(json.dumps(answer, default=str), encoding="utf-8")


if __name__ == "__main__":
    main()
