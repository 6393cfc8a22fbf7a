"""The AWS of compose.yaml: the durable MiniStack of `deftunes.embedded`, with tasks and Glue jobs as containers."""
