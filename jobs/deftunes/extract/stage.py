"""Stage extract: land what a source holds, as it was sent; how is in the module of each entity.

That module is imported when it is needed: its drivers are, too, and a landing of sessions stays small without those of
PostgreSQL and Arrow.
"""

from importlib import import_module

from deftunes.extract.landed import Landed
from deftunes.job import Job
from deftunes.resources import Resources


def run(resources: Resources, job: Job) -> Landed:
    """Run the stage."""
    landed: Landed = import_module(f"deftunes.extract.{job.expect_entity()}").run(resources, job)
    return landed
