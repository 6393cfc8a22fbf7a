"""The stage `model`: dbt builds the star schema and the BI views."""

from deftunes.model.stage import Modelled, model

__all__ = ["Modelled", "model"]
