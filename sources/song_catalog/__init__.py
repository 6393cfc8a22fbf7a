"""The song catalogue for development: fills and changes `deftunes.songs` as an operator of the shop would.

A development tool, apart from the pipeline: it never imports `deftunes`, and `deftunes` never imports it.
"""
