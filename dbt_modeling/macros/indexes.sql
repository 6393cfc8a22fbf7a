{# Redshift has no indexes, and its adapter cannot read the configuration that asks PostgreSQL for them. #}
{% macro redshift__create_indexes(relation) %}
{% endmacro %}
