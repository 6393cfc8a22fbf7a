"""Replay: judge the landings behind quarantine again, after a rule or a threshold changed, and publish what passes."""

from collections.abc import Iterator
from datetime import date, timedelta
from typing import TYPE_CHECKING

from deftunes.core import layout
from deftunes.core.entities import Entity
from deftunes.core.interval import ONE_DAY, Interval
from deftunes.pipeline import Outcome, Scope, Stage, bring, load, model
from deftunes.state import quarantine

if TYPE_CHECKING:
    from deftunes.resources import Platform


def replays(platform: "Platform", only: Entity | None) -> Iterator[tuple[Interval, Iterator[Outcome]]]:
    """For each stretch of days (each snapshot) that has rejected records: the stages that judge it again.

    Under unchanged rules `main` holds these landings already, and nothing is done.
    """
    for entity in Entity:
        if only in (None, entity):
            for scope in _scopes(platform, entity):
                yield scope.interval, _replay(platform, entity, scope)


def _replay(platform: "Platform", entity: Entity, scope: Scope) -> Iterator[Outcome]:
    yield from bring(platform, entity, scope)
    yield Outcome(Stage.LOAD, entity, load(platform, entity))
    yield Outcome(Stage.MODEL, None, model(platform, scope))


def _scopes(platform: "Platform", entity: Entity) -> Iterator[Scope]:
    rejected = list(quarantine.listed(platform.catalog, entity, fields=("day",)))
    if entity.is_snapshot:
        landing = platform.landings(entity).in_use(layout.SNAPSHOT) if rejected else None
        if landing:
            yield Scope(landing.interval, ())
        return
    days = sorted({row["day"] for row in rejected if row["day"]})
    for stretch in _stretches(days):
        yield Scope(Interval(stretch[0], stretch[-1] + ONE_DAY), tuple(stretch))


def _stretches(days: list[date]) -> Iterator[list[date]]:
    stretch: list[date] = []
    for day in days:
        if stretch and day - stretch[-1] > timedelta(days=1):
            yield stretch
            stretch = []
        stretch.append(day)
    if stretch:
        yield stretch
