"""dbt: what a build is asked for, and what came of it.

By default it runs inside this process, killed with it; `adapters/dbt_child.py` has it in a process that began earlier.
"""

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deftunes.core.settings import exported

_GOOD = {"success", "pass", "no-op"}
_SKIPPED = "skipped"
THREADS = 4  # as in profiles.yml
# Behind these words PostgreSQL quotes the rows that it stumbled over, and a row may be a person; or it names tables.
_NAMES = "because other objects depend on it"
_ROWS = re.compile(r"\b(DETAIL|CONTEXT):.*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Node:
    """A model or a test that failed. `compiled` is the SQL as it ran, where there is any."""

    name: str
    kind: str
    message: str
    compiled: Path | None


@dataclass(frozen=True, slots=True)
class Built:
    """The outcome of a build. `problem` is set where dbt did not get as far as building."""

    models: int
    tests: int
    skipped: int
    failed: tuple[Node, ...]
    problem: str | None = None

    @property
    def succeeded(self) -> bool:
        """Everything was built and every test passed."""
        return not self.failed and not self.skipped and self.problem is None


@dataclass(frozen=True, slots=True)
class Project:
    """A dbt project. The folder is only read; what dbt writes goes to `work`."""

    folder: Path
    work: Path
    target: str

    @property
    def log(self) -> Path:
        """What dbt did in the last run, statement by statement."""
        return self.work / "dbt.log"

    def digest(self) -> str:
        """Over every file that decides what a model holds."""
        digest = hashlib.sha256()
        for path in sorted(self.folder.rglob("*.sql")):
            if path.is_relative_to(self.folder / "models") or path.is_relative_to(self.folder / "macros"):
                digest.update(f"{path.relative_to(self.folder)}\0".encode())
                digest.update(path.read_bytes())
        return digest.hexdigest()[:16]

    def build(
        self, environment: Mapping[str, str], *, full_refresh: bool, threads: int = THREADS, run: "Run | None" = None
    ) -> Built:
        """`dbt build`: models and data tests in their order; what follows a failed test is left as it is.

        Each thread has a connection of its own. Unit tests test the SQL and not the data; the project's own tests run
        them. `run` is where dbt runs, if not here.
        """
        arguments = ["build", "--exclude-resource-type", "unit_test", "--threads", str(threads)]
        arguments += ["--full-refresh"] if full_refresh else []
        return (run or run_here)(self, arguments, environment)

    def invoke(self, arguments: Sequence[str], callbacks: Sequence[Callable[[Any], None]] = ()) -> Any:
        """What dbt makes of these arguments in this process; it reads the environment.

        A signal ends this process, not only dbt, which cancels its statements first.
        """
        from dbt.cli.main import dbtRunner

        outcome = dbtRunner(callbacks=list(callbacks)).invoke(
            [
                *("--log-level", "none", "--log-level-file", "none"),
                *arguments,
                *("--project-dir", str(self.folder), "--profiles-dir", str(self.folder), "--target", self.target),
                *("--target-path", str(self.work / "target"), "--log-path", str(self.work)),
            ]
        )
        if isinstance(outcome.exception, SystemExit | KeyboardInterrupt):
            raise outcome.exception
        return outcome


Run = Callable[[Project, Sequence[str], Mapping[str, str]], Built]


def run_here(project: Project, arguments: Sequence[str], environment: Mapping[str, str]) -> Built:
    """Run dbt inside this process."""
    project.work.mkdir(parents=True, exist_ok=True)
    # dbt's own log file stays open until the collector finds it, once more with every build of a backfill.
    with exported(environment), project.log.open("w") as log:

        def keep(event: Any) -> None:  # the protobuf classes carry no types
            log.write(f"{event.info.ts.ToJsonString()} {_without_rows(event.info.msg)}\n")

        outcome = project.invoke(arguments, [keep])
    return _built(outcome)


def _built(outcome: Any) -> Built:
    results = getattr(outcome.result, "results", None)
    if results is None:
        return Built(0, 0, 0, (), problem=_without_rows(str(outcome.exception or "dbt ended without a result")))
    kinds = [(result, str(result.node.resource_type), str(result.status)) for result in results]
    return Built(
        models=sum(kind == "model" and status in _GOOD for _, kind, status in kinds),
        tests=sum(kind == "test" and status in _GOOD for _, kind, status in kinds),
        skipped=sum(status == _SKIPPED for _, _, status in kinds),
        failed=tuple(
            Node(
                result.node.name,
                kind,
                " ".join(_without_rows(str(result.message or status)).split()),
                Path(result.node.compiled_path) if getattr(result.node, "compiled_path", None) else None,
            )
            for result, kind, status in kinds
            if status not in {*_GOOD, _SKIPPED}
        ),
    )


def _without_rows(message: str) -> str:
    return message if _NAMES in message else _ROWS.sub("", message).strip()
