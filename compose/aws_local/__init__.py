"""The AWS of compose.yaml: MiniStack as `deftunes.embedded` serves it, its tasks and Glue jobs real containers."""
