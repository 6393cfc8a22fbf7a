"""Named crash points for the drills: one before and one after every commit boundary.

A drill sets DEFTUNES_FAILPOINT to a name; the process then kills itself there with SIGKILL, as a power cut would.
"""

import os
import signal
from enum import StrEnum


class Failpoint(StrEnum):
    """Every place where the order of two writes matters. The drills run all of them."""

    LANDING_BEFORE_RECEIPT = "landing-before-receipt"
    LANDING_AFTER_RECEIPT = "landing-after-receipt"
    TRANSFORM_AFTER_QUARANTINE = "transform-after-quarantine"
    TRANSFORM_AFTER_BRANCH = "transform-after-branch"
    TRANSFORM_AFTER_WRITE = "transform-after-write"
    QUALITY_BEFORE_RESULTS = "quality-before-results"
    QUALITY_AFTER_RESULTS = "quality-after-results"
    PUBLISH_BEFORE_MAIN = "publish-before-main"
    PUBLISH_AFTER_MAIN = "publish-after-main"
    PUBLISH_AFTER_RELEASE = "publish-after-release"
    LOAD_BEFORE_COMMIT = "load-before-commit"
    LOAD_AFTER_COMMIT = "load-after-commit"
    LOAD_BEFORE_TRUST = "load-before-trust"
    LOAD_AFTER_TRUST = "load-after-trust"
    MODEL_BEFORE_BUILD = "model-before-build"
    MODEL_AFTER_BUILD = "model-after-build"


_armed: set[Failpoint] = set()  # one at most: a process dies once


def arm(failpoint: Failpoint | None) -> None:
    """Choose the crash point of this process; called once, by the edge."""
    _armed.clear()
    if failpoint:
        _armed.add(failpoint)


def crash_point(failpoint: Failpoint) -> None:
    """Kill this process here if this failpoint is armed."""
    if failpoint in _armed:
        os.kill(os.getpid(), signal.SIGKILL)
