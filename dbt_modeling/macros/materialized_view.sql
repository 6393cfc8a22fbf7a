{#
    Readers go on during a refresh; needs a unique index on the view, which is its grain. A refresh groups every fact:
    in the 4 MB that a statement has by default it would sort on disk.
#}
{% macro postgres__refresh_materialized_view(relation) -%}
    set local work_mem = '64MB';
    set local jit = off;
    refresh materialized view concurrently {{ relation }}
{%- endmacro %}


{# The adapter's own: a project's macro for PostgreSQL would be taken for Redshift too, ahead of the adapter's. #}
{% macro redshift__refresh_materialized_view(relation) -%}
    refresh materialized view {{ relation }}
{%- endmacro %}
