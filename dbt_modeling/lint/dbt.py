"""What sqlfluff sees of dbt's own macros; see [tool.sqlfluff] in pyproject.toml."""


def type_string() -> str:
    """As on PostgreSQL."""
    return "text"
