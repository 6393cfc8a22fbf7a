"""The parts of the platform that a laptop lacks. By itself, so that naming one imports nothing."""

from enum import StrEnum


class Part(StrEnum):
    """A part that a laptop lacks. The order is the order of starting."""

    AWS = "aws"
    POSTGRES = "postgres"
    API = "api"
