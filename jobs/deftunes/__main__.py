"""`python -m deftunes` is the command line, and the process of a container."""

from deftunes.cli import main

main()
