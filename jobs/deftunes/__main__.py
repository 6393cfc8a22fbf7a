"""`python -m deftunes` is the command line."""

from deftunes.cli import main

main()
