"""Progress of long work: a bar with the time left where a person looks, nothing where a machine reads."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from deftunes.core.interval import Interval

Advance = Callable[[Interval, str], None]


@contextmanager
def chunk_progress(chunks: Sequence[Interval], *, as_json: bool) -> Iterator[Advance]:
    """A function to call after each chunk."""
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=Console(stderr=True), disable=as_json) as progress:
        task = progress.add_task("backfill", total=len(chunks))

        def advance(chunk: Interval, how: str) -> None:
            progress.update(task, advance=1, description=f"{chunk} {how}")

        yield advance
