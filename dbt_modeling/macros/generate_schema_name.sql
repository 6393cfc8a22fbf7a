{# A schema is named exactly as configured: dashboards and other teams' queries hold the name. #}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {{ (custom_schema_name or target.schema) | trim }}
{%- endmacro %}
