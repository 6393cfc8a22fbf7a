"""The stages and pipelines by name, and what one call of a stage is about."""

from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from deftunes.core.interval import Interval


class Stage(StrEnum):
    """The stages, in order. A stage is a package, a verb, the first word of its tasks' ids."""

    EXTRACT = "extract"
    TRANSFORM = "transform"
    QUALITY = "quality"
    PUBLISH = "publish"
    LOAD = "load"
    MODEL = "model"


class PipelineName(StrEnum):
    """What `run` and `backfill` update; each is a DAG, `all` is both."""

    SONGS = "songs"
    API = "api"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class RunWindow:
    """What one run processes: the interval (widened by the look-back for sessions) and, of sessions, the days in it."""

    interval: Interval
    days: tuple[date, ...]


@dataclass(frozen=True, slots=True)
class ExtractOptions:
    """What a person may decide for one extract."""

    accept_shrink: bool = False
    full: bool = False
