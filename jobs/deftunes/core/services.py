"""The services that a laptop lacks and the platform can embed. By itself, so that naming one imports nothing."""

from enum import StrEnum


class Service(StrEnum):
    """A service that can be embedded. The order is the order of starting."""

    AWS = "aws"
    POSTGRES = "postgres"
    API = "api"
