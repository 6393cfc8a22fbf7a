{#
    Incremental strategy `replace`: rows of the staged keys, and of the days in scope where `replace_days` names the
    date column, go; the staged rows come; in one transaction. dbt's own strategies cannot empty a day.
#}
{% macro get_incremental_replace_sql(arguments) -%}
    {%- set target = arguments['target_relation'] -%}
    {%- set staged = arguments['temp_relation'] -%}
    {%- set key = arguments['unique_key'] -%}
    {%- set columns = get_quoted_csv(arguments['dest_columns'] | map(attribute='name')) -%}
    {%- set date_column = config.get('meta', {}).get('replace_days') -%}
    {%- if date_column -%}
    delete from {{ target }}
    where {{ date_in_scope(date_column) }};
    {%- endif %}

    delete from {{ target }}
    where {{ key }} in (select {{ key }} from {{ staged }});

    insert into {{ target }} ({{ columns }})
    select {{ columns }}
    from {{ staged }}
{%- endmacro %}
