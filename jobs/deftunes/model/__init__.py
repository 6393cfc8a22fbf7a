"""Stage model: the star schema and the BI views, by dbt."""
