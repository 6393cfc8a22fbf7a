{#
    What this run computes again: everything that `load` brought, and the interval that `model` was asked for, as noted
    in deftunes_control.changed. Notes stay until gold shows them, so a run after a kill does the same work again.
    Days come as ranges of literals: Spectrum prunes partitions by literals only.
#}
{% macro scope() %}
    {%- set changed = source('deftunes_control', 'changed') -%}
    {%- if not execute -%}
        {{ return({'everything': true, 'ranges': []}) }}
    {%- endif -%}
    {#- A caller without a warehouse (the check that everything compiles for Redshift) says what the scope is. -#}
    {%- set given = var('scope', none) -%}
    {%- if given is not none -%}
        {{ return(given) }}
    {%- endif -%}
    {%- set units = run_query(
        "select distinct unit from " ~ changed ~ " where entity = 'sessions' or unit = '*' order by unit"
    ).columns[0].values() | list -%}
    {%- set ranges = [] -%}
    {%- for unit in units if unit != '*' -%}
        {%- set day = modules.datetime.date.fromisoformat(unit) -%}
        {%- set next_day = day + modules.datetime.timedelta(days=1) -%}
        {%- if ranges and ranges[-1][1] == day.isoformat() -%}
            {%- set _ = ranges.append([ranges.pop()[0], next_day.isoformat()]) -%}
        {%- else -%}
            {%- set _ = ranges.append([day.isoformat(), next_day.isoformat()]) -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return({'everything': '*' in units, 'ranges': ranges}) }}
{% endmacro %}


{# True: every member and every sale is computed, on first use, after a first load, or when silver was set back. #}
{% macro everything() %}
    {{ return(scope()['everything'] or not is_incremental()) }}
{% endmacro %}


{# The days in scope, as a condition on a date. #}
{% macro date_in_scope(column) -%}
    {%- set days = scope() -%}
    {%- if days['everything'] -%}
        true
    {%- elif not days['ranges'] -%}
        false
    {%- else -%}
        (
        {%- for begin, end in days['ranges'] -%}
            {{ ' or ' if not loop.first }}({{ column }} >= cast('{{ begin }}' as date)
            and {{ column }} < cast('{{ end }}' as date))
        {%- endfor -%}
        )
    {%- endif -%}
{%- endmacro %}


{# The days in scope, as a condition on an instant: 23:59:59.999999 belongs to its day. #}
{% macro instant_in_scope(column) -%}
    {%- set days = scope() -%}
    {%- if days['everything'] -%}
        true
    {%- elif not days['ranges'] -%}
        false
    {%- else -%}
        (
        {%- for begin, end in days['ranges'] -%}
            {{ ' or ' if not loop.first }}({{ column }} >= {{ utc_midnight(begin) }}
            and {{ column }} < {{ utc_midnight(end) }})
        {%- endfor -%}
        )
    {%- endif -%}
{%- endmacro %}


{# The members of a dimension in scope, as a query of one column; needs `changed` to hold all of them. #}
{% macro changed_members(entity, key) -%}
    select distinct unit as {{ key }}
    from {{ source('deftunes_control', 'changed') }}
    where entity = '{{ entity }}' and unit <> '*'
{%- endmacro %}


{# Users whose versions changed, each with the instant from which on his sales may belong to another one. #}
{% macro rekeyed_users() -%}
    select
        unit as user_id,
        min(since) as since
    from {{ source('deftunes_control', 'changed') }}
    where entity = 'users' and since is not null
    group by unit
{%- endmacro %}


{#
    dbt's own macro behind the `where` of a test, with one addition: `meta: {scope: ...}` in a test's configuration means
    the rows that this run computed again, so that a daily test costs the day and not the history. `facts` are the sales
    of these days and those outside of them that got another key; `songs`, `artists` and `users` the members noted.
#}
{% macro get_where_subquery(relation) -%}
    {%- set scoped = config.get('meta', {}).get('scope') -%}
    {%- if scoped is none or scope()['everything'] -%}
        {{ return(dbt.get_where_subquery(relation)) }}
    {%- endif -%}
    {%- set computed -%}
        {%- if scoped == 'facts' -%}
    (
    select * from {{ relation }}
    where {{ date_in_scope('session_date') }}
    union all
    select held.*
    from {{ relation }} as held
    inner join ({{ rekeyed_users() }}) as rekeyed
        on held.user_id = rekeyed.user_id and held.session_start_time >= rekeyed.since
    where not {{ date_in_scope('held.session_date') }}
    ) as in_scope
        {%- else -%}
            {%- set key = {'artists': 'artist_id', 'songs': 'track_id', 'users': 'user_id'}[scoped] -%}
    (select * from {{ relation }} where {{ key }} in ({{ changed_members(scoped, key) }})) as in_scope
        {%- endif -%}
    {%- endset -%}
    {{ return(computed) }}
{%- endmacro %}
