"""The script of every Glue job: which stage and entity it runs is in the job's arguments."""

from deftunes.cli.glue import main

main()
