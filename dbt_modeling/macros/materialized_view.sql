{# Readers go on during a refresh; needs a unique index on the view, which is its grain. Redshift never blocks them. #}
{% macro postgres__refresh_materialized_view(relation) -%}
    refresh materialized view concurrently {{ relation }}
{%- endmacro %}
