"""Stage load: published silver made queryable by the warehouse."""
