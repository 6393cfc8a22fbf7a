"""The one place that knows how a stage is run: its runner, its names, its timeout and retries.

    platform.json + section [deftunes] of Airflow's configuration  ->  one operator a stage and entity

Where a stage runs is in platform.json: as a Glue job, or as a container on ECS. Those that are both (transform and
quality) run where the setting `transform_on` says; `batch_stages` sends containers to AWS Batch instead of ECS. Nothing
is asked or started at import, and nothing here knows whether this is a laptop or AWS.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.configuration import conf
from airflow.exceptions import AirflowException, AirflowFailException
from airflow.sdk import DAG, Asset, BaseOperator, Param
from airflow.timetables.interval import CronDataIntervalTimetable
from deftunes_operators import StageBatchJob, StageGlueJob, StageTask

if TYPE_CHECKING:
    from airflow.sdk.definitions.context import Context

_LOG = logging.getLogger(__name__)
_FOLDER = Path(__file__).resolve().parent
_SECTION = "deftunes"
# On AWS, and in compose, platform.json lies beside the DAGs; in a checkout it is the root's.
PLATFORM: dict[str, Any] = json.loads(
    next(path for path in (_FOLDER / "platform.json", _FOLDER.parent / "platform.json") if path.is_file()).read_text(
        encoding="utf-8"
    )
)
# Longer than any run that is not stuck. Glue ends its jobs itself before that (terraform: timeout_minutes).
_TIMEOUTS = {
    "extract": timedelta(hours=4),
    "transform": timedelta(hours=5),
    "quality": timedelta(hours=5),
    "publish": timedelta(hours=4),
    "load": timedelta(hours=4),
    "model": timedelta(hours=4),
    "check": timedelta(hours=1),
}
_BATCH_TIMEOUT = timedelta(hours=24)
# More tries, where another one helps. Glue tells no refusal from an accident, so a refusal is tried again, too: not for
# long. `check` has waited for other runs by itself.
_RETRIES = 5
_FEW_RETRIES = 2
# The second half of each DAG's page.
_ON_CALL = """
**A task failed.** Its log ends with what was expected, what was found and the next command. Fix the cause, then
*clear* the task: every task is idempotent, alone or with those after it. Readers see the previous data until `publish`
(silver) and `model` (views) succeed. Never mark a task as success: the next one checks what it left, not its state.

- *Containers* (operator `StageTask`): exit code 75 is transient and retried automatically. 3 is a refusal and fails at
  once: a person decides. 2 fails at once, too: a setting or an argument is wrong.
- *Glue jobs* (operator `StageGlueJob`: `transform` and `quality`, unless `transform_on` is `ecs`): Glue does not tell
  exit codes apart, so a refusal is retried twice before it fails. The last error names the command that shows the log.
- `check` waits for the other DAG and is retried twice.
- `quality` *refused*: `deftunes quarantine list` shows the records and the reasons. Have the source corrected, or
  change the rule or the threshold; then clear `extract` and the tasks after it.
- `extract` *refused*: the answer lacks records that were there before. If that is correct, trigger the same days
  again by `start` and `end` with `accept_shrink`.
- `check` *failed*: every stage ended, but gold does not show what was landed. Its message names the table.

**Several days in one run.** Trigger with `start` and `end` (UTC days, `end` is exclusive): one run instead of
hundreds.

**Stopped, stuck, lost.** A task that is stopped or exceeds its timeout stops its container or job. If a worker is
lost, its container runs on, and the retry starts another one: both may finish, nothing is doubled. A Glue job never
runs twice at the same time: the retry waits until the first run has ended.
"""


def pipeline(dag_id: str, *, doc: str, params: Mapping[str, Param] | None = None) -> DAG:
    """A daily pipeline over UTC days: the days from `start_date` on, one after the other, or a range by its params."""
    return DAG(
        dag_id,
        schedule=CronDataIntervalTimetable("@daily", timezone="UTC"),
        start_date=_midnight(_option("start_date", "2020-01-01")),
        end_date=_midnight(last) if (last := _option("end_date", "")) else None,
        catchup=True,
        max_active_runs=1,
        tags=[_SECTION, f"release {_option('release')}"],
        doc_md=doc + _ON_CALL,
        params={**_RANGE, **(params or {})},
        user_defined_macros={"first_day": _first_day, "day_after": _day_after},
        default_args={
            "owner": _SECTION,
            "retry_delay": timedelta(seconds=30),
            "retry_exponential_backoff": True,
            "max_retry_delay": timedelta(minutes=15),
            "on_failure_callback": tell_what_to_do,
        },
    )


def stage(task_id: str, *, flags: Sequence[str] = (), **more: Any) -> BaseOperator:
    """The task that runs `task_id`, a key of platform.json's `tasks` and, where Glue can run it, of its Glue `jobs`.

    `flags` name DAG params: one that is set becomes the command's flag of that name.
    """
    name = task_id.partition("_")[0]
    more = {
        "task_id": task_id,
        "execution_timeout": _TIMEOUTS[name],
        "retries": _FEW_RETRIES if name == "check" else _RETRIES,
        "aws_conn_id": None,  # the environment's own identity
        "deferrable": False,
        **more,
    }
    if task_id in PLATFORM["glue"]["jobs"] and _choice("transform_on", ("glue", "ecs")) == "glue":
        return _glue_job(PLATFORM["glue"]["jobs"][task_id], **{**more, "retries": _FEW_RETRIES})
    task = PLATFORM["tasks"][task_id]
    command = [*task["command"], "--start", _START, "--end", _END, *map(_flag, flags)]
    if name in _list_option("batch_stages"):
        return _batch_job(task, command, **{**more, "execution_timeout": _BATCH_TIMEOUT})
    return _ecs_task(task, command, **more)


def silver(entity: str) -> Asset:
    """The entity's published table, which `publish` updates."""
    return Asset(f"{PLATFORM['schemas']['transform']}.{entity}")


def gold() -> Asset:
    """The views that people read, once a check has passed."""
    return Asset(PLATFORM["schemas"]["bi_views"])


def tell_what_to_do(context: "Context") -> None:
    """The last lines of a failed task's log, for whoever opens it."""
    _LOG.error(
        "%s of run %s has failed for good. The lines above end with what was expected, what came and the next command; "
        "docs/runbook.md has a heading for each exit code. Afterwards clear this task: that is always safe.",
        context["ti"].task_id,
        context["run_id"],
    )


##### The interval of a run: its data interval, or the range in its params

_DAY = {"type": ["null", "string"], "format": "date"}
_RANGE = {
    "start": Param(None, **_DAY, title="First day", description="To run a range at once: its first UTC day."),
    "end": Param(None, **_DAY, title="Day after the last", description="The UTC day after its last one."),
}
_START = "{{ first_day(params, data_interval_start) }}"
_END = "{{ day_after(params, data_interval_end) }}"


def _first_day(params: Mapping[str, Any], interval_start: datetime | None) -> str:
    first, _ = _range(params)
    return str(first or _of_interval(interval_start))


def _day_after(params: Mapping[str, Any], interval_end: datetime | None) -> str:
    _, after = _range(params)
    return str(after or _of_interval(interval_end))


def _range(params: Mapping[str, Any]) -> tuple[date | None, date | None]:
    """The days of the params, if they are given.

    Raises:
        AirflowFailException: they are no range; another try would read the same.
    """
    first, after = (date.fromisoformat(params[name]) if params[name] else None for name in ("start", "end"))
    if (first is None) is not (after is None) or (first is not None and after is not None and first >= after):
        raise AirflowFailException(
            f"expected the params start and end as two days, start before end, or neither; got start {first} and "
            f"end {after}. Trigger the DAG again"
        )
    return first, after


def _of_interval(moment: datetime | None) -> date:
    if moment is None:
        raise AirflowFailException(
            "expected a data interval or the params start and end, got neither. Trigger the DAG again with both params"
        )
    return moment.astimezone(UTC).date()


def _flag(param: str) -> str:
    """A word that is empty, and then left out, unless the param is set."""
    return f"{{{{ '--{param.replace('_', '-')}' if params.{param} else '' }}}}"


##### Runners


def _ecs_task(task: Mapping[str, Any], command: Sequence[str], **more: Any) -> BaseOperator:
    return StageTask(
        cluster=_option("cluster", PLATFORM["cluster"]),
        # Without a revision: the newest, which is that of the release that was rolled out last.
        task_definition=task["family"],
        launch_type="FARGATE",
        network_configuration={
            "awsvpcConfiguration": {
                "subnets": _list_option("subnets", required=True),
                "securityGroups": _list_option("security_groups", required=True),
                "assignPublicIp": "DISABLED",
            }
        },
        overrides={"containerOverrides": [{"name": PLATFORM["container"], "command": list(command)}]},
        container_name=PLATFORM["container"],
        awslogs_group=PLATFORM["log_groups"][task["log_group"]],
        awslogs_stream_prefix=more["task_id"],
        awslogs_fetch_interval=timedelta(seconds=_poll_seconds()),
        waiter_delay=_poll_seconds(),
        # What it would hand on is the log's last line, at the price of failing where there is no log.
        do_xcom_push=False,
        **more,
    )


def _batch_job(task: Mapping[str, Any], command: Sequence[str], **more: Any) -> BaseOperator:
    return StageBatchJob(
        job_name=task["family"],
        job_definition=task["family"],
        job_queue=_option("batch_queue"),
        container_overrides={"command": list(command)},
        awslogs_enabled=True,
        awslogs_fetch_interval=timedelta(seconds=_poll_seconds()),
        **more,
    )


def _glue_job(job: Mapping[str, Any], **more: Any) -> BaseOperator:
    return StageGlueJob(
        job_name=job["name"],
        script_args={"--start": _START, "--end": _END},
        job_poll_interval=_poll_seconds(),
        # StageGlueJob waits: the operator takes STOPPED for an end, and waits for ERROR for ever.
        wait_for_completion=False,
        stop_job_run_on_kill=True,
        log_group=PLATFORM["log_groups"]["glue_output"],
        **more,
    )


##### Settings


def _option(name: str, default: str | None = None) -> str:
    value: str = conf.get(_SECTION, name, fallback=default or "").strip() or (default or "")
    if not value and default is None:
        raise AirflowException(
            f"expected the option {name} in section [{_SECTION}] of Airflow's configuration, got none. Set "
            f"AIRFLOW__{_SECTION.upper()}__{name.upper()}, on AWS {_SECTION}.{name} of the environment; see docs/aws.md"
        )
    return value


def _choice(name: str, choices: Sequence[str]) -> str:
    """An option that is one of these words; the first is the default."""
    value = _option(name, choices[0])
    if value not in choices:
        raise AirflowException(
            f"expected {' or '.join(choices)} as the option {name} in section [{_SECTION}] of Airflow's configuration, "
            f"got {value}; see docs/aws.md"
        )
    return value


def _poll_seconds() -> int:
    return int(_option("poll_seconds", "5"))


def _list_option(name: str, *, required: bool = False) -> list[str]:
    return [item.strip() for item in _option(name, None if required else "").split(",") if item.strip()]


def _midnight(text: str) -> datetime:
    return datetime.combine(date.fromisoformat(text), time(), tzinfo=UTC)
