"""The entities of the platform. Everything named after one carries exactly this word."""

from enum import StrEnum


class Entity(StrEnum):
    """What a source holds. The order is the order of publishing."""

    SONGS = "songs"
    USERS = "users"
    SESSIONS = "sessions"

    @property
    def is_snapshot(self) -> bool:
        """True: what the source holds now, the interval only names the run. False: events, by UTC day."""
        return self is not Entity.SESSIONS
