"""Warehouses as others set them up: clusters of the tests' own beside the stack's."""

import itertools
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from support.cluster import Cluster
from support.silver import T0, session_item, song_row, user_version
from support.warehouse import WarehousePipeline, new_warehouse_pipeline

if TYPE_CHECKING:
    from support.stack import Stack

DAY = timedelta(days=1)
D1, D2, D3 = (T0.date() + DAY * number for number in range(3))


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    cluster = Cluster()
    yield cluster
    cluster.close()


@pytest.fixture(scope="session")
def databases(cluster: Cluster) -> Callable[..., str]:
    """Makes a new database in the cluster; returns its name."""
    numbers = itertools.count()

    def create(encoding: str = "UTF8", options: str = "") -> str:
        name = f"warehouse_{next(numbers)}"
        cluster.sql(f"create database {name} encoding '{encoding}' locale 'C' template template0 {options}")
        return name

    return create


@pytest.fixture
def end_of(stack: "Stack", tmp_path_factory: pytest.TempPathFactory) -> Callable[..., WarehousePipeline]:
    """A small silver with the warehouse at a DSN."""

    def make(dsn: str, *, lock_timeout: float = 5) -> WarehousePipeline:
        end = new_warehouse_pipeline(stack, tmp_path_factory.getbasetemp() / "dbt", lock_timeout=lock_timeout, dsn=dsn)
        end.silver.upsert_songs([song_row(number) for number in range(3)])
        end.silver.replace_user_versions([user_version(number) for number in range(3)], at=T0)
        end.silver.replace_days({D1: [session_item(1, 1, at=T0)], D2: [session_item(2, at=T0 + DAY, buyer=9, track=7)]})
        return end

    return make
