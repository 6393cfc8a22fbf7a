"""Ways in which an API fails, to be switched on: which request is struck, and what goes over the wire instead."""

from collections import Counter
from enum import StrEnum
from random import Random
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class Kind(StrEnum):
    """What is wrong with an answer."""

    STATUS = "status"  # `status`, with `retry_after` if given
    RESET = "reset"  # the connection is reset before a byte
    RESET_MIDWAY = "reset_midway"  # ... after `after_bytes`
    TRUNCATED_LENGTH = "truncated_length"  # fewer bytes than Content-Length declares
    TRUNCATED_CHUNKED = "truncated_chunked"  # no last chunk
    MALFORMED_JSON = "malformed_json"  # a complete answer whose JSON stops after `after_bytes`
    HTML = "html"  # a page of HTML with status 200
    ERROR_OBJECT = "error_object"  # {"error": ...} with status 200
    EMPTY_BODY = "empty_body"  # status 200 and nothing
    EMPTY_ARRAY = "empty_array"  # status 200 and []
    SLOW = "slow"  # `delay` seconds before every piece of `after_bytes`
    STALL = "stall"  # `after_bytes`, then nothing for `delay` seconds, then the rest
    SHORT = "short"  # a `share` of the records is missing
    WRONG_RECORDS = "wrong_records"  # users where sessions were asked for, and the reverse
    WRONG_VALUES = "wrong_values"  # an array of numbers


class Fault(BaseModel):
    """One thing that goes wrong. Of the requests that match, the first `after` are spared, then `requests` are struck.

    `probability`: of being struck, decided by seed, URL and how often the URL was asked for, not by the order in which
    requests happen to arrive.
    """

    model_config = ConfigDict(extra="forbid")

    kind: Kind
    path: str | None = Field(default=None, description="/users or /sessions; none: both")
    after: Annotated[int, Field(ge=0)] = 0
    requests: Annotated[int, Field(ge=1)] | None = Field(default=None, description="none: until switched off")
    probability: Annotated[float, Field(gt=0, le=1)] = 1
    status: Annotated[int, Field(ge=400, le=599)] = 503
    retry_after: str | None = Field(default=None, description="seconds or an HTTP date, as the header is to have it")
    after_bytes: Annotated[int, Field(ge=1)] = 1000
    delay: Annotated[float, Field(ge=0, le=3600)] = 0.1
    share: Annotated[float, Field(gt=0, le=1)] = 0.5


class FaultList(BaseModel):
    """All that goes wrong; of several that match a request, the first strikes."""

    model_config = ConfigDict(extra="forbid")

    faults: list[Fault] = []


class Faults:
    """Decides and counts."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self.switch(FaultList())

    def switch(self, faults: FaultList) -> None:
        """Replace what goes wrong; counting starts again."""
        self._faults = faults.faults
        self._seen = [0] * len(self._faults)
        self._struck = [0] * len(self._faults)
        self._asked: Counter[str] = Counter()

    def strike(self, path: str, url: str) -> tuple[Fault | None, Random]:
        """What goes wrong with this request, if anything does; and the chance that belongs to it."""
        attempt = self._asked[url]
        self._asked[url] += 1
        chance = Random(f"{self._seed}/{url}/{attempt}")
        for number, fault in enumerate(self._faults):
            if fault.path not in {None, path}:
                continue
            self._seen[number] += 1
            if self._seen[number] <= fault.after:
                continue
            if fault.requests is not None and self._struck[number] >= fault.requests:
                continue
            if fault.probability < 1 and chance.random() >= fault.probability:
                continue
            self._struck[number] += 1
            return fault, chance
        return None, chance

    def to_json(self) -> dict[str, object]:
        """What is switched on, and how often it struck."""
        return {
            "faults": [
                {**fault.model_dump(mode="json"), "struck": struck}
                for fault, struck in zip(self._faults, self._struck, strict=True)
            ],
            "requests": self._asked.total(),
            "struck": sum(self._struck),
        }
