"""The target that sqlfluff lints for."""

type = "postgres"  # noqa: A001 - dbt's name
