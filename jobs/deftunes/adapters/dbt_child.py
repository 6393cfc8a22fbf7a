"""dbt in a process that begins with the command: half of a day's build is dbt's own import and first use.

    the command starts ->  the child imports dbt and parses the project once, for nothing
    model's turn       ->  the child builds, in a second or two less

The child ends with the command, however that ends (`adapters/child.py`). At a signal it cancels its statements first,
as dbt does anywhere.
"""

import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from deftunes.adapters.child import Child, ChildEndedError, serve
from deftunes.adapters.dbt import Built, Node, Project, run_here
from deftunes.core.errors import DeftunesError
from deftunes.core.settings import exported

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# For the statements to be cancelled and the connections closed.
_PATIENCE_SECONDS = 10.0
# The profile wants values; nothing is connected to while a project is parsed.
_NOWHERE = {
    f"DEFTUNES_WAREHOUSE_{name}": value
    for name, value in {"HOST": "localhost", "PORT": "1", "DATABASE": "none", "USER": "none"}.items()
}


class DbtChild:
    """dbt for this project, getting ready; for any number of builds, one after the other."""

    def __init__(self, project: Project) -> None:
        self._child = Child(__name__)
        self._child.tell({"project": _written(project)})

    def run(self, project: Project, arguments: Sequence[str], environment: Mapping[str, str]) -> Built:
        """As `deftunes.adapters.dbt.run_here`, in the child; here, where the child ended before it was asked.

        Raises:
            DeftunesError: the child ended while it built.
        """
        if not self._child.is_alive:
            return run_here(project, arguments, environment)
        request = {"project": _written(project), "arguments": list(arguments), "environment": dict(environment)}
        try:
            return _read(self._child.ask(request))
        except ChildEndedError as ended:
            raise DeftunesError(
                f"model: dbt's process ended while it built ({ended}). Is there memory left? What it did not finish is "
                f"done by the next `deftunes model`. Its log is {project.log}"
            ) from None
        except BaseException:  # a signal: what the warehouse still works on would hold up the next command
            self._child.end(_PATIENCE_SECONDS)
            raise

    def close(self) -> None:
        """End the child, which has nothing to do."""
        self._child.end()


def _written(project: Project) -> dict[str, str]:
    return {"folder": str(project.folder), "work": str(project.work), "target": project.target}


def _project(written: Mapping[str, str]) -> Project:
    return Project(Path(written["folder"]), Path(written["work"]), written["target"])


def _read(answer: dict[str, Any]) -> Built:
    failed = tuple(
        Node(**{**node, "compiled": Path(node["compiled"]) if node["compiled"] else None}) for node in answer["failed"]
    )
    return Built(**{**answer, "failed": failed})


def _work(request: dict[str, Any]) -> dict[str, Any] | None:
    project = _project(request["project"])
    if "arguments" not in request:
        _get_ready(project)
        return None
    built = asdict(run_here(project, request["arguments"], request["environment"]))
    for node in built["failed"]:
        node["compiled"] = str(node["compiled"]) if node["compiled"] else None
    return built


def _get_ready(project: Project) -> None:
    """Import what a build imports, and parse the project once. What is wrong with it is the build's to report."""
    import dbt.task.build  # noqa: F401 - dbt imports it when it is asked to build

    # A folder of its own: parsed with other addresses, the build's would be parsed again from the beginning.
    with exported(_NOWHERE):
        replace(project, work=project.work / "ready").invoke(["parse"])


def _end(number: int, _: FrameType | None) -> NoReturn:
    for each in _SIGNALS:  # Ctrl-C reaches both, and then the parent's own word comes
        signal.signal(each, signal.SIG_IGN)
    sys.exit(128 + number)


def _main() -> None:
    for number in _SIGNALS:
        signal.signal(number, _end)
    try:
        serve(_work)
    except SystemExit as end:
        os._exit(int(end.code or 0))  # dbt has cancelled what ran; its threads are not waited for


if __name__ == "__main__":
    _main()
