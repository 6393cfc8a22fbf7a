{#
    Incremental strategy `replace`: the staged rows take the place of those of the same key, and of the days in scope
    where `replace_days` names the date column; in one transaction. dbt's own strategies cannot empty a day.
    Only keys whose rows differ are written, so a run with nothing new writes nothing, and a look-back over quiet days
    leaves neither dead rows nor work for the indexes.
#}
{% macro get_incremental_replace_sql(arguments) -%}
    {%- set target = arguments['target_relation'] -%}
    {%- set staged = arguments['temp_relation'] -%}
    {%- set key = arguments['unique_key'] -%}
    {%- set columns = get_quoted_csv(arguments['dest_columns'] | map(attribute='name')) -%}
    {%- set date_column = config.get('meta', {}).get('replace_days') -%}
    {%- set differing = target.identifier ~ '_differing' -%}
    {%- set everything = scope()['everything'] -%}
    {%- set keeps_change = config.get('meta', {}).get('keep_change') and not everything -%}
    drop table if exists {{ differing }};

    create temporary table {{ differing }} as
    with

    held as (

        select {{ columns }}
        from {{ target }}
        {%- if not everything %}
        where {{ key }} in (select {{ key }} from {{ staged }})
        {%- if date_column %}

        union

        select {{ columns }}
        from {{ target }}
        where {{ date_in_scope(date_column) }}
        {%- endif %}
        {%- endif %}

    ),

    arriving as (

        select {{ columns }}
        from {{ staged }}
        except
        select {{ columns }}
        from held

    ),

    leaving as (

        select {{ columns }}
        from held
        except
        select {{ columns }}
        from {{ staged }}

    )

    select {{ key }} from arriving
    {%- if date_column %}
    union
    select {{ key }} from leaving
    {%- endif %};
    {%- if keeps_change %}
    {{ keep_leaving(target, columns, key, differing) }}
    {%- endif %}

    delete from {{ target }}
    where {{ key }} in (select {{ key }} from {{ differing }});

    insert into {{ target }} ({{ columns }})
    select {{ columns }}
    from {{ staged }}
    where {{ key }} in (select {{ key }} from {{ differing }})
    {%- if keeps_change %};
    {{ keep_arriving(target, columns, key, differing, staged) }}
    {%- endif %}
{%- endmacro %}
