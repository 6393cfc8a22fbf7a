"""The doctor's checks: each part that the platform depends on, what was found, and what to do where it failed."""

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import date
from functools import partial
from typing import TYPE_CHECKING, Any

from deftunes.adapters.catalog import Refs, silver_table
from deftunes.core.entities import Entity
from deftunes.core.services import Service
from deftunes.embedded import resolve
from deftunes.resources import Resources

if TYPE_CHECKING:
    from deftunes.core.settings import Settings

_FREE_BYTES = 2 * 1024**3


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


def diagnose(settings: "Settings") -> Iterator[Check]:
    """All checks, in the order in which one failure explains the next."""
    yield _check("python", _python, "use Python 3.11: make setup finds it")
    yield _check(
        "java and jars", lambda: _java(settings), "make setup fetches them; JAVA_HOME may name a Java 17 of your own"
    )
    yield _check("disk", lambda: _disk(settings), "free at least 2 GiB, or set DEFTUNES_HOME to a larger disk")
    for service in Service:
        yield _check(
            f"part {service}", partial(_service, settings, service), "deftunes down, then deftunes up; see its log"
        )
    resources = Resources(resolve(settings, Service))
    try:
        yield _check("lake", lambda: _lake(resources), "check DEFTUNES_LAKE and its credentials")
        yield _check("catalog", lambda: _catalog(resources), "check AWS_ENDPOINT_URL and the Glue permissions")
        yield _check(
            "songs source",
            lambda: _songs(resources),
            "check DEFTUNES_SONGS_DSN; the role needs SELECT on deftunes.songs",
        )
        yield _check("purchase api", lambda: _api(resources), "check DEFTUNES_API_URL and DEFTUNES_API_TOKEN")
        yield _check("warehouse", lambda: _warehouse(resources), "check DEFTUNES_WAREHOUSE_DSN")
        yield _check(
            "branches",
            lambda: _branches(resources),
            "run the interval of the batch again; it is published or refused anew",
        )
    finally:
        resources.close()


def diagnose_aws(settings: "Settings") -> Iterator[Check]:
    """What Terraform and a release should have left in the AWS account of the caller's own credentials."""
    from deftunes.adapters.account import Account

    account = Account(settings.aws_region)
    apply, release = "terraform apply", "make deploy, with the release of your .local.tfvars"
    yield _check("identity", account.identity, "aws sts get-caller-identity must answer; set AWS_REGION")
    yield _check("buckets", account.buckets, apply)
    yield _check("catalog", account.catalog, apply)
    yield _check("tasks", account.tasks, apply)
    yield _check("images", account.images, release)
    yield _check("glue jobs", account.glue_jobs, f"{apply}; a missing file: {release}")
    yield _check("secrets", account.secrets, "aws secretsmanager put-secret-value (docs/aws.md)")
    yield _check("warehouse", account.warehouse, f"{apply}; it takes minutes to become available")
    yield _check("airflow", account.airflow, f"{apply}; it takes half an hour to become available")
    yield _check("alerts", account.alerts, "set emails in your .local.tfvars; each address confirms by mail")


def _check(name: str, look: Callable[[], str], remedy: str) -> Check:
    try:
        return Check(name, True, look())
    except Exception as error:  # noqa: BLE001 - a check that breaks is a finding, whatever broke it
        return Check(name, False, str(error).strip().splitlines()[0] if str(error).strip() else repr(error), remedy)


def _python() -> str:
    if sys.version_info[:2] != (3, 11):
        raise RuntimeError(f"expected Python 3.11, got {sys.version.split()[0]}")
    return sys.version.split()[0]


def _java(settings: "Settings") -> str:
    from deftunes.adapters.jars import classpath
    from deftunes.adapters.java import java_home

    return f"{java_home(settings.java_home)}, {len(classpath(verify=True))} jars"


def _disk(settings: "Settings") -> str:
    settings.home.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(settings.home).free
    if not os.access(settings.home, os.W_OK):
        raise RuntimeError(f"{settings.home} cannot be written")
    if free < _FREE_BYTES:
        raise RuntimeError(f"expected 2 GiB free in {settings.home}, got {free / 1024**3:.1f}")
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
        raise RuntimeError(f"expected none, got {len(open_branches)} unpublished batches: {', '.join(open_branches)}")
    return "no unpublished batch"
