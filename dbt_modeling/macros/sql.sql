{# Instants, days and keys: the same SQL wherever they appear. #}

{% macro utc_midnight(day) -%}
    cast('{{ day }} 00:00:00+00:00' as timestamp with time zone)
{%- endmacro %}


{# The first version of a user is valid from here, so that sales before his registration have a version too. #}
{% macro first_instant() -%}
    {{ utc_midnight('1900-01-01') }}
{%- endmacro %}


{# The end of the current version: a date, not NULL, so that a range is one comparison for every reader. #}
{% macro last_instant() -%}
    {{ utc_midnight('9999-12-31') }}
{%- endmacro %}


{% macro utc_date(column) -%}
    cast(({{ column }} at time zone 'UTC') as date)
{%- endmacro %}


{# A hash of the user and the instant as UTC text: the same in every session's time zone and on both warehouses. #}
{% macro user_key(user_id, valid_from) -%}
    md5({{ user_id }} || '|' || to_char(({{ valid_from }} at time zone 'UTC'), 'YYYY-MM-DD HH24:MI:SS.US'))
{%- endmacro %}


{# A user's versions from rows of (user_id, effective_from, ...); `columns` are carried along. #}
{% macro user_versions(users, columns=[]) -%}
    select
        user_id,
        {%- for column in columns %}
        {{ column }},
        {%- endfor %}
        case
            when row_number() over (partition by user_id order by effective_from) = 1 then {{ first_instant() }}
            else effective_from
        end as valid_from,
        coalesce(
            lead(effective_from) over (partition by user_id order by effective_from), {{ last_instant() }}
        ) as valid_to
    from {{ users }}
{%- endmacro %}


{#
    For each key of the CTE `keys`, the earliest sale that names it; the CTE `sessions` must be in scope.
    PostgreSQL goes by index, sale by sale, where keys are few; Redshift has neither indexes nor lateral joins, and for
    all keys at once one sort is cheaper anyway.
#}
{% macro earliest_sale(keys, key, columns) -%}
    {%- if target.type == 'postgres' and not everything() -%}
    select
        {{ keys }}.{{ key }}
        {%- for column in columns %},
        first_sale.{{ column }}
        {%- endfor %}
    from {{ keys }}
    cross join lateral (
        select {{ columns | join(', ') }}
        from sessions
        where sessions.{{ key }} = {{ keys }}.{{ key }}
        order by session_start_time, session_id, item_number
        limit 1
    ) as first_sale
    {%- else -%}
    select
        {{ key }}
        {%- for column in columns %},
        {{ column }}
        {%- endfor %}
    from (
        select
            sessions.{{ key }}
            {%- for column in columns %},
            sessions.{{ column }}
            {%- endfor %},
            row_number() over (
                partition by sessions.{{ key }}
                order by sessions.session_start_time, sessions.session_id, sessions.item_number
            ) as place
        from sessions
        inner join {{ keys }} on sessions.{{ key }} = {{ keys }}.{{ key }}
    ) as sales
    where place = 1
    {%- endif -%}
{%- endmacro %}


{# Byte order on both: Redshift compares bytes anyway, PostgreSQL by the database's locale unless told. #}
{% macro byte_order(column) -%}
    {{ column }}{{ ' collate "C"' if target.type == 'postgres' }}
{%- endmacro %}


{#
    Joins what stands before to the rows of `relation`, read as `alias`, that meet the condition; to one of them where
    one is enough to know. `columns` can be asked. PostgreSQL goes by index, key by key, where it would choose to hash
    the whole relation otherwise: so one row is a limit, and all of them are an offset, which it does not look through.
    Redshift has neither indexes nor lateral joins, and for all keys at once one hash is cheaper anyway.
#}
{% macro look_up(relation, alias, columns, condition, kind='left', one_is_enough=true) -%}
    {%- if target.type == 'postgres' and not scope()['everything'] -%}
    {{ kind }} join lateral (
        select {{ columns | join(', ') }}
        from {{ relation }} as {{ alias }}
        where {{ condition }}
        {{ 'limit 1' if one_is_enough else 'offset 0' }}
    ) as {{ alias }} on true
    {%- else -%}
    {{ kind }} join {{ relation }} as {{ alias }} on {{ condition }}
    {%- endif -%}
{%- endmacro %}


{# What was sold in each session and currency, of a relation of facts. #}
{% macro sales_by_session(sales) -%}
    select
        session_id,
        currency,
        min(user_id) as user_id,
        min(session_date) as session_date,
        count(*) as items,
        sum(case when liked then 1 else 0 end) as liked_items,
        sum(price) as sales
    from {{ sales }}
    group by
        session_id,
        currency
{%- endmacro %}
