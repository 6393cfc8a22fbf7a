"""The stage `load`: silver's `main` into the warehouse, only what changed."""

from deftunes.load.stage import Loaded, load

__all__ = ["Loaded", "load"]
