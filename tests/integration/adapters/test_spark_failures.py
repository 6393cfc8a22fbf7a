"""What is shown of Spark's errors: the cause, and who acts."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from deftunes.adapters.spark_failures import spark_failures
from deftunes.core.errors import DeftunesError, RetriableError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from support.stack import Stack


def translated(stack: "Stack", act: Callable[[], object]) -> DeftunesError:
    with pytest.raises(DeftunesError) as failed, spark_failures(stack.settings):
        act()
    return failed.value


def test_what_the_jvm_threw_is_shown(stack: "Stack", spark: "SparkSession") -> None:
    error = translated(stack, lambda: spark._jvm.java.util.Optional.empty().get())
    assert type(error) is DeftunesError
    assert str(error).startswith("Spark failed: java.util.NoSuchElementException: No value present. Nothing")


def test_a_workers_error_is_named_by_kind_and_place_and_quotes_no_record(stack: "Stack", spark: "SparkSession") -> None:
    def read(batches: Iterator[Any]) -> Iterator[Any]:
        for batch in batches:
            raise ValueError(f"someone@b.example\nmore of {batch}")
        yield from batches

    error = translated(stack, spark.range(1).mapInArrow(read, "id long").collect)
    assert str(error).startswith('Spark failed: ValueError in a Python worker, File "')
    assert ", in read. Nothing was published" in str(error)
    assert "someone" not in str(error)


def test_a_lost_commit_is_retriable(stack: "Stack", spark: "SparkSession") -> None:
    jvm = spark._jvm
    nothing = spark._sc._gateway.new_array(jvm.java.lang.Object, 0)
    lost = jvm.org.apache.iceberg.exceptions.CommitFailedException("Glue detected concurrent update", nothing)
    error = translated(stack, jvm.java.util.concurrent.CompletableFuture.failedFuture(lost).get)
    assert type(error) is RetriableError
    assert "another run changed the table meanwhile" in str(error)
    assert "Glue detected concurrent update" in str(error)
