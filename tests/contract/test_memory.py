"""What the refreshes of one `model` may take of PostgreSQL's memory at once fits into the container of compose.yaml."""

import re

import yaml

from deftunes.adapters.dbt import THREADS
from deftunes.core.settings import REPOSITORY

MACRO = REPOSITORY / "dbt_modeling" / "macros" / "shown_sales.sql"
SHARED_BUFFERS = 128  # MB, PostgreSQL's default, which the image keeps
# Sorts and hash tables that a refresh fills at once: groupings of a grouping, and what they are joined to.
PLACES = 3


def test_refreshes_at_once_fit_into_the_container() -> None:
    settings = {name: int(value) for name, value in re.findall(r"set local (\w+) = '?(\d+)", MACRO.read_text("utf-8"))}
    processes = THREADS * (1 + settings["max_parallel_workers_per_gather"])
    most = processes * PLACES * settings["work_mem"] * settings["hash_mem_multiplier"]
    compose = yaml.safe_load((REPOSITORY / "compose.yaml").read_text("utf-8"))
    limit = compose["services"]["postgres"]["mem_limit"]
    assert limit.endswith("m")
    assert SHARED_BUFFERS + most <= int(limit.removesuffix("m"))
