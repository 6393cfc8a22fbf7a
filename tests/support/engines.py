"""Both engines: over a lake of the test stack, and what each makes of the same landings."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deftunes.adapters.catalog import open_catalog, silver_table
from deftunes.adapters.engine_duckdb import open_duckdb
from deftunes.adapters.engine_spark import SparkEngine
from deftunes.core import layout
from deftunes.core.entities import Entity
from deftunes.job import Job
from deftunes.pipeline import write_audit_publish
from deftunes.resources import Resources
from support.batches import land_step

if TYPE_CHECKING:
    import pytest

    from deftunes.adapters.lake import Lake
    from deftunes.core.engine import Engine
    from support.stack import Stack

ENGINES = ("embedded", "spark")


@contextmanager
def open_engine(name: str, request: "pytest.FixtureRequest", lake: "Lake") -> "Iterator[Engine]":
    """The engine of this name over this lake; Spark is the test run's one session."""
    stack: Stack = request.getfixturevalue("stack")
    catalog = open_catalog(stack.settings)
    if name == "embedded":
        with open_duckdb(stack.settings, lake, catalog) as embedded:
            yield embedded
        return
    spark = SparkEngine(request.getfixturevalue("spark"), lake, catalog)
    yield spark
    spark.close()


@dataclass(frozen=True)
class Made:
    """What was made of landings: rows in the order of their text, objects by key."""

    silver: list[str]
    quarantine: list[str]
    verdicts: list[str]
    manifests: dict[str, bytes | None]


def make(
    stack: "Stack", request: "pytest.FixtureRequest", engines: list[str], entity: Entity, seed: int, worlds: int
) -> Made:
    """Land and publish, a step for each of these engines, on an empty lake."""
    settings = stack.reset(max_rejected=1.0)
    for step, name in enumerate(engines):
        resources = Resources(settings.model_copy(update={"engine": name}))
        if name == "spark":
            resources.__dict__["spark"] = request.getfixturevalue("spark")
        window = land_step(resources.lake, entity, seed, worlds, step)
        list(write_audit_publish(resources, Job(entity=entity, window=window)))
    manifests = {key: resources.lake.get(key) for key in resources.lake.keys("batches/")}
    return Made(
        silver=_rows(resources, entity),
        quarantine=_rows(resources, layout.QUARANTINE),
        verdicts=_rows(resources, layout.QUALITY_RESULTS, but="snapshot_id"),
        manifests=manifests,
    )


def assert_both_make_the_same(
    stack: "Stack", request: "pytest.FixtureRequest", entity: Entity, seed: int, worlds: int
) -> None:
    """Twice as many batches as worlds: silver, quarantine, verdicts and manifests are equal, byte for byte.

    By seed: on Spark alone, begun embedded and gone on with on Spark, or the other way round.
    """
    embedded = make(stack, request, ["embedded", "embedded"], entity, seed, worlds)
    assert len(embedded.silver) > worlds / 2
    assert len(embedded.quarantine) > worlds / 4
    assert len(embedded.manifests) == 2
    others = (["spark", "spark"], ["embedded", "spark"], ["spark", "embedded"])[seed % 3]
    other = make(stack, request, others, entity, seed, worlds)
    for name in ("silver", "quarantine", "verdicts"):
        mine, theirs = set(getattr(embedded, name)), set(getattr(other, name))
        assert sorted(mine - theirs)[:3] == sorted(theirs - mine)[:3], name
    assert other == embedded


def _rows(resources: Resources, name: str, but: str = "") -> list[str]:
    table = silver_table(resources.catalog, name)
    rows: list[dict[str, Any]] = table.scan().to_arrow().to_pylist() if table else []
    return sorted(repr({key: value for key, value in row.items() if key != but}) for row in rows)
