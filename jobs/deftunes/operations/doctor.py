"""The doctor's checks: each part that the platform depends on, what was found, and what to do where it failed."""

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import date
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deftunes.adapters.catalog import Refs, silver_table
from deftunes.core.entities import Entity
from deftunes.core.errors import DeftunesError
from deftunes.core.services import Service
from deftunes.core.settings import REPOSITORY, SPARK_FILES, expect_interpreter, expect_open_files, user_name
from deftunes.embedded import resolve
from deftunes.resources import Resources

if TYPE_CHECKING:
    from deftunes.core.settings import Settings

_FREE_BYTES = 2 * 1024**3

Explain = Callable[[BaseException], Exception]


@dataclass(frozen=True, slots=True)
class Check:
    """One check and its outcome; `remedy` is empty where it is well."""

    name: str
    ok: bool
    found: str
    remedy: str = ""

    def to_json(self) -> dict[str, Any]:
        """For machines."""
        return asdict(self)


def diagnose(settings: "Settings", explain: Explain) -> Iterator[Check]:
    """All checks, in the order in which one failure explains the next."""
    check = partial(_check, explain)
    yield check("python", _python, "use Python 3.11: make setup finds it")
    yield check("checkout", _checkout, "run make setup here: it mends what was copied or moved")
    yield check(
        "user", lambda: _user(settings), "add the user to /etc/passwd, or set the DSNs of a PostgreSQL of yours"
    )
    yield check("open files", _open_files, "raise the limit of this shell or container: ulimit -n 4096")
    yield check("disk", lambda: _disk(settings), "free at least 2 GiB, or set DEFTUNES_HOME to a larger disk")
    if find_spec("pyspark") is None:
        yield Check("spark", True, "not installed: large batches and `maintain` need it, `make spark` adds it")
    else:
        yield check("temporary files", lambda: _temporary(settings), "set TMPDIR to a folder on another file system")
        yield check(
            "java and jars", lambda: _java(settings),
            "make spark fetches them; JAVA_HOME may name a Java 17 of your own, DEFTUNES_SPARK_MEMORY less memory",
        )  # fmt: skip
    down = "deftunes down, then deftunes up; see its log"
    for service in Service:
        yield check(f"part {service}", partial(_service, settings, service), down)
    resolved: list[Settings] = []
    embedded = check("services", lambda: _resolve(settings, resolved), down)
    if not resolved:  # what follows would fail for want of it
        yield embedded
        return
    resources = Resources(resolved[0])
    try:
        yield check("lake", lambda: _lake(resources), "check DEFTUNES_LAKE and its credentials")
        yield check("catalog", lambda: _catalog(resources), "check AWS_ENDPOINT_URL and the Glue permissions")
        yield check(
            "songs source",
            lambda: _songs(resources),
            "check DEFTUNES_SONGS_DSN; the role needs SELECT on deftunes.songs",
        )
        yield check("purchase api", lambda: _api(resources), "check DEFTUNES_API_URL and DEFTUNES_API_TOKEN")
        yield check("warehouse", lambda: _warehouse(resources), "check DEFTUNES_WAREHOUSE_DSN")
        yield check(
            "branches",
            lambda: _branches(resources),
            "run the interval of the batch again; it is published or refused anew",
        )
    finally:
        resources.close()


def diagnose_aws(settings: "Settings", explain: Explain) -> Iterator[Check]:
    """What Terraform and a release should have left in the AWS account of the caller's own credentials."""
    from deftunes.adapters.account import Account

    account = Account(settings.aws_region)
    check = partial(_check, explain)
    apply, release = "terraform apply", "make deploy, with the release of your .local.tfvars"
    yield check("identity", account.identity, "aws sts get-caller-identity must answer; set AWS_REGION")
    yield check("buckets", account.buckets, apply)
    yield check("catalog", account.catalog, apply)
    yield check("tasks", account.tasks, apply)
    yield check("images", account.images, release)
    yield check("glue jobs", account.glue_jobs, f"{apply}; a missing file: {release}")
    yield check("secrets", account.secrets, "aws secretsmanager put-secret-value (docs/aws.md)")
    yield check("warehouse", account.warehouse, f"{apply}; it takes minutes to become available")
    yield check("dashboards", account.dashboards, release)
    yield check("airflow", account.airflow, f"{apply}; it takes half an hour to become available")
    yield check("alerts", account.alerts, "set emails in your .local.tfvars; each address confirms by mail")


def _check(explain: Explain, name: str, look: Callable[[], str], remedy: str) -> Check:
    try:
        return Check(name, True, look())
    except Exception as error:  # noqa: BLE001 - a check that breaks is a finding, whatever broke it
        return Check(name, False, str(explain(error)).strip().splitlines()[0], remedy)


def _python() -> str:
    if sys.version_info[:2] != (3, 11):
        raise DeftunesError(f"expected Python 3.11, got {sys.version.split()[0]}")
    return f"{sys.version.split()[0]}, {expect_interpreter()}"


def _checkout() -> str:
    """Whether the code that runs is that of the checkout whose .venv runs it."""
    of_venv = Path(sys.prefix).parent
    if (of_venv / "jobs" / "deftunes").is_dir() and not REPOSITORY.samefile(of_venv):
        raise DeftunesError(f"expected the command of {of_venv} to run the code there, got that of {REPOSITORY}")
    return str(REPOSITORY)


def _user(settings: "Settings") -> str:
    name = user_name()
    if name is None and settings.embedded and (settings.songs_dsn is None or settings.warehouse_dsn is None):
        raise DeftunesError(
            f"expected a user with a name, got uid {os.getuid()}, without which PostgreSQL cannot be embedded"
        )
    return f"{name or os.getuid()}, home {Path.home()}"


def _open_files() -> str:
    return f"{expect_open_files(SPARK_FILES)} at once"


def _temporary(settings: "Settings") -> str:
    from deftunes.adapters.spark import temporary_folder

    return str(temporary_folder(settings))


def _java(settings: "Settings") -> str:
    from deftunes.adapters.jars import classpath, repository
    from deftunes.adapters.java import java_home, start_problem

    home = java_home(settings.java_home)
    problem = start_problem(home, settings.spark_memory)
    if problem:
        raise DeftunesError(f"{home} does not start with a heap of {settings.spark_memory}: {problem}")
    return f"{home}, {len(classpath(repository(), repository(settings.home.absolute()), verify=True))} jars"


def _resolve(settings: "Settings", resolved: "list[Settings]") -> str:
    resolved.append(resolve(settings, Service))
    return "found"


def _disk(settings: "Settings") -> str:
    settings.home.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(settings.home).free
    if not os.access(settings.home, os.W_OK):
        raise DeftunesError(f"{settings.home} cannot be written")
    if free < _FREE_BYTES:
        raise DeftunesError(f"expected 2 GiB free in {settings.home}, got {free / 1024**3:.1f}")
    return f"{free / 1024**3:.0f} GiB free in {settings.home}"


def _service(settings: "Settings", service: Service) -> str:
    from deftunes.embedded import service_statuses

    resolved = resolve(settings, {service})
    if resolved == settings:
        return "not embedded: its address is set"
    return next(status.address or "up" for status in service_statuses(settings) if status.service is service)


def _lake(resources: "Resources") -> str:
    next(resources.lake.keys("runs/"), None)
    return resources.lake.uri("")


def _catalog(resources: "Resources") -> str:
    found = [entity for entity in Entity if silver_table(resources.catalog, entity) is not None]
    return f"{len(found)} of {len(Entity)} tables" if found else "no tables yet"


def _songs(resources: "Resources") -> str:
    with resources.songs_source.snapshot():
        return "deftunes.songs can be read"


def _api(resources: "Resources") -> str:
    # A day before the shop opened: an answer, and nothing personal in it.
    response = resources.api.sessions(date(1970, 1, 1), date(1970, 1, 2), lambda _records: None)
    return f"answers, its clock says {response.extracted_at:%Y-%m-%d %H:%M} UTC"


def _warehouse(resources: "Resources") -> str:
    return f"answers as {resources.warehouse.query('select current_database()').rows[0][0]}"


def _branches(resources: "Resources") -> str:
    open_branches = [
        f"{entity}: {branch}"
        for entity in Entity
        for branch in Refs(silver_table(resources.catalog, entity)).branches()
    ]
    if open_branches:
        raise DeftunesError(f"expected none, got {len(open_branches)} unpublished batches: {', '.join(open_branches)}")
    return "no unpublished batch"
