"""Stage load: published silver to the warehouse, only what changed."""
