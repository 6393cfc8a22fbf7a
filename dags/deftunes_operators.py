"""The three operators that run a stage: an ECS task, a job of AWS Batch, a run of a Glue job.

Each is Airflow's own and looks once more at how the container or job ended: Airflow's know no exit codes, and take some
that were stopped or lost for a success (docs/adr/0019). No SDK is imported: the operators' own clients are asked.
"""

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow.exceptions import AirflowException, AirflowFailException
from airflow.providers.amazon.aws.operators.batch import BatchOperator
from airflow.providers.amazon.aws.operators.ecs import EcsRunTaskOperator
from airflow.providers.amazon.aws.operators.glue import GlueJobOperator

if TYPE_CHECKING:
    from airflow.sdk.definitions.context import Context

# Exit codes of the command line that another try does not mend.
_NEVER_RETRIED = {2: "the call or a setting is wrong", 3: "refused, and a person decides"}
_GLUE_UNFINISHED = {"STARTING", "RUNNING", "STOPPING", "WAITING"}


class StageTask(EcsRunTaskOperator):
    """A stage as an ECS task. Where a person has to decide it does not try again; stopped is not done."""

    def render_template_fields(self, context: "Context", jinja_env: Any = None) -> None:
        """Render, and leave out what was rendered to nothing."""
        super().render_template_fields(context, jinja_env)
        _drop_empty_words(self.overrides["containerOverrides"][0])

    def execute(self, context: "Context") -> None:
        """Run the task and check how it ended."""
        try:
            super().execute(context)  # type: ignore[no-untyped-call]
        except Exception as error:
            _give_up_on(_exit_code(self._task()), error)
            raise
        # A stopped container may well end with 0: it was asked to. One that was lost has no exit code.
        task = self._task()
        exit_code = _exit_code(task)
        if exit_code != 0 or task.get("stopCode") == "UserInitiated":
            raise AirflowException(
                f"expected the task to end by itself with exit code 0, got exit code {exit_code}: "
                f"{task.get('stopCode')}, {task.get('stoppedReason')}"
            )

    def _task(self) -> dict[str, Any]:
        if not self.arn:
            return {}
        found: list[dict[str, Any]] = self.client.describe_tasks(cluster=self.cluster, tasks=[self.arn])["tasks"]
        return found[0] if found else {}


class StageBatchJob(BatchOperator):
    """A stage as a job of AWS Batch, for runs of hours. Where a person has to decide it does not try again."""

    def render_template_fields(self, context: "Context", jinja_env: Any = None) -> None:
        """Render, and leave out what was rendered to nothing."""
        super().render_template_fields(context, jinja_env)
        _drop_empty_words(self.container_overrides)

    def execute(self, context: "Context") -> None:
        """Run the job and check how it ended."""
        try:
            super().execute(context)
        except Exception as error:
            if self.job_id:
                _give_up_on(self.hook.get_job_description(self.job_id).get("container", {}).get("exitCode"), error)
            raise

    def on_kill(self) -> None:
        """Stop the job, if there is one yet."""
        if self.job_id:
            super().on_kill()  # type: ignore[no-untyped-call]


class StageGlueJob(GlueJobOperator):
    """A stage as a run of a Glue job that exists. Only SUCCEEDED is done."""

    def __init__(self, *, log_group: str, **more: Any) -> None:
        super().__init__(**more)
        self._log_group = log_group

    def execute(self, context: "Context") -> None:
        """Run the job and check how it ended."""
        self._start(context)
        while (run := self._run())["JobRunState"] in _GLUE_UNFINISHED:
            time.sleep(self.job_poll_interval)
        if run["JobRunState"] != "SUCCEEDED":
            raise AirflowException(
                f"expected the job to succeed, got {run['JobRunState']}: {run.get('ErrorMessage')}. "
                f"Its log: aws logs tail {self._log_group} --log-stream-names {self._job_run_id} --since 1d"
            )

    def _start(self, context: "Context") -> None:
        """Start a run, as soon as there is no other: a lost worker's runs on, and a job never runs beside itself."""
        while True:
            try:
                super().execute(context)
            except Exception as error:
                # No SDK is imported here, so its error is known by name.
                if type(error).__name__ != "ConcurrentRunsExceededException":
                    raise
                self.log.info("Job %s runs already; waiting for the end of that run", self.job_name)
                time.sleep(self.job_poll_interval)
            else:
                return

    def on_kill(self) -> None:
        """Stop the run, if there is one yet."""
        if self._job_run_id:
            super().on_kill()  # type: ignore[no-untyped-call]

    def _run(self) -> dict[str, Any]:
        run: dict[str, Any] = self.hook.conn.get_job_run(JobName=self.job_name, RunId=self._job_run_id)["JobRun"]
        return run


def _exit_code(task: Mapping[str, Any]) -> int | None:
    """How the one container of an ECS task ended; None where nothing tells."""
    containers = task.get("containers", [])
    return containers[0].get("exitCode") if containers else None


def _give_up_on(exit_code: int | None, error: Exception) -> None:
    """Fail at once where another try would end the same."""
    if exit_code in _NEVER_RETRIED:
        raise AirflowFailException(f"exit code {exit_code}: {_NEVER_RETRIED[exit_code]}. {error}") from error


def _drop_empty_words(override: dict[str, Any] | None) -> None:
    if override:
        override["command"] = [word for word in override["command"] if word]
