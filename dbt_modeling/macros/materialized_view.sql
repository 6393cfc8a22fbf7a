{#
    Readers go on during a refresh; needs a unique index on the view, which is its grain. Redshift never blocks them.
    A refresh groups every fact: in the 4 MB that a statement has by default it would sort on disk.
#}
{% macro postgres__refresh_materialized_view(relation) -%}
    set local work_mem = '64MB';
    set local jit = off;
    refresh materialized view concurrently {{ relation }}
{%- endmacro %}
