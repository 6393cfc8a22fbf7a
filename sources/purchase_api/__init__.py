"""The Purchase API for development: users and sessions of a made-up shop, as a function of seed and logical clock.

A development tool, apart from the pipeline: it never imports `deftunes`, and `deftunes` never imports it.
"""
