"""The entities of the platform, each declared once, in the module of its name.

    one file here + a file of that name in each stage where entities differ  =  an entity

Everything named after an entity carries exactly its word: the lake's prefixes, tables, DQDL files, tasks, dbt sources.
"""

from enum import StrEnum

from deftunes.core.entities import sessions, songs, users
from deftunes.core.entities.declaration import Column, Declaration
from deftunes.core.stages import PipelineName


class Entity(StrEnum):
    """What a source holds. The order is the order of publishing: what an entity `needs` comes before it."""

    SONGS = "songs"
    USERS = "users"
    SESSIONS = "sessions"

    @property
    def declaration(self) -> Declaration:
        """What is declared of it."""
        return _DECLARATIONS[self]

    @property
    def is_snapshot(self) -> bool:
        """True: what the source holds now, the interval only names the run. False: events, by UTC day."""
        return self.declaration.is_snapshot


_DECLARATIONS = {
    Entity.SONGS: songs.DECLARATION,
    Entity.USERS: users.DECLARATION,
    Entity.SESSIONS: sessions.DECLARATION,
}


def entities_of(pipeline: PipelineName) -> tuple[Entity, ...]:
    """The entities of a pipeline, in the order of publishing."""
    return tuple(entity for entity in Entity if pipeline in {PipelineName.ALL, entity.declaration.pipeline})


__all__ = ["Column", "Declaration", "Entity", "entities_of"]
