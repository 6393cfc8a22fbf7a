"""Stage model: dbt builds the star schema and the BI views."""
