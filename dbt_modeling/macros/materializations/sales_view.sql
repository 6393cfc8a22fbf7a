{#
    A view of sales on PostgreSQL: a table that equals its query over the star, always brought there in one transaction.

        the last change is shown already            nothing is done
        it shows the change before that             update by the last change
        anything else, or everything is computed    the query as a whole; only rows that differ are written
        another query or other indexes (a release)  another table, with the rights that others have on this one

    `meta` says how a change is added: `sums`, columns that add up over any facts, of which `items` says whether a row is
    left; or `by_day`, the column of days that are computed again as a whole. The first index is the grain.
#}
{% materialization sales_view, adapter='postgres' %}
    {%- set existing = load_cached_relation(this) -%}
    {%- set table = this.incorporate(type='table') -%}
    {%- set held = shown_change(this.identifier) -%}
    {%- set latest = shown_change('sales_shown') -%}
    {%- set is_table = existing is not none and existing.type == 'table' and held is not none -%}
    {%- set definition = held.definition if is_table and not dbt.should_full_refresh() else definition_of(sql) -%}
    {%- set grants = [] -%}
    {%- set shows_all = latest is not none and held is not none and held.change == latest.change -%}
    {%- set skipped = is_table and held.definition == definition and shows_all and not scope()['everything'] -%}
    {{ run_hooks(pre_hooks) }}
    {%- if skipped -%}
        {%- do store_raw_result(name='main', message='skip ' ~ table, code='skip', rows_affected='-1') -%}
    {%- elif not is_table or held.definition != definition -%}
        {%- set grants = grants_of(this, table) -%}
        {%- call statement('main') -%}
            {{ bounded_memory() }}
            {%- if existing is not none %}
            {#- Without CASCADE PostgreSQL names what people built on it, and keeps all. #}
            drop {{ existing.type | replace('_', ' ') }} if exists {{ existing }};
            {%- endif %}
            {#- Vacuumed after each day: a question that an index answers alone needs pages that are visible to all. #}
            create table {{ table }}
            with (autovacuum_vacuum_scale_factor = 0.001, autovacuum_vacuum_insert_scale_factor = 0.001)
            as {{ sql }};
            {%- for index in config.get('indexes', []) %}
            {{ get_create_index_sql(table, index) }};
            {%- endfor %}
            {%- for statement in grants %}
            {{ statement }};
            {%- endfor %}
            analyze {{ table }};
            {{ show_change(this.identifier, latest, definition) }}
        {%- endcall -%}
    {%- else -%}
        {%- set is_next = latest is not none and held.change == latest.previous and not scope()['everything'] -%}
        {%- call statement('main') -%}
            {{ bounded_memory() }}
            {{ update_by_change(table, sql) if is_next else update_as_a_whole(table, sql) }}
            {{ show_change(this.identifier, latest, definition) }}
        {%- endcall -%}
    {%- endif -%}
    {{ run_hooks(post_hooks) }}
    {%- if not skipped -%}
        {%- do adapter.commit() -%}
    {%- endif -%}
    {{ return({'relations': [table]}) }}
{% endmaterialization %}


{# The change that a view shows, or that `sales_shown` holds; none where nobody knows. #}
{% macro shown_change(name) %}
    {%- set rows = run_query(
        "select change, previous, definition from " ~ source_of_shown() ~ " where name = '" ~ name ~ "'"
    ).rows -%}
    {{ return({'change': rows[0][0], 'previous': rows[0][1], 'definition': rows[0][2]} if rows | length else none) }}
{% endmacro %}


{% macro show_change(name, latest, definition) %}
    delete from {{ source_of_shown() }} where name = '{{ name }}';
    insert into {{ source_of_shown() }} (name, change, definition)
    values ('{{ name }}', '{{ latest.change if latest is not none else 'unknown' }}', '{{ definition }}')
{% endmacro %}


{# Not by `source`: a view reads it only to be brought up to date. #}
{% macro source_of_shown() %}
    {{ return('deftunes_control.shown') }}
{% endmacro %}


{# A digest of a query and its indexes. #}
{% macro definition_of(query) %}
    {{ return(local_md5(shown_query(query) ~ tojson(config.get('indexes', [])))) }}
{% endmacro %}


{% macro update_as_a_whole(table, query) %}
    {%- set fresh = table.identifier ~ '_fresh' %}
    create temporary table {{ fresh }} on commit drop as {{ query }};

    {{ write_difference(table, fresh, 'true') }}
{% endmacro %}


{% macro update_by_change(table, query) %}
    {%- set change = last_change(graph.nodes['model.deftunes.sales_shown'].relation_name) -%}
    {%- set how = config.get('meta') -%}
    {{ update_days(table, query, change, how['by_day']) if 'by_day' in how else add_change(table, query, change, how['sums']) }}
{% endmacro %}


{# The query is linear in the facts: what it gives for those after the change is added, what for those before taken off. #}
{% macro add_change(table, query, change, sums) %}
    {%- set difference = table.identifier ~ '_difference' -%}
    {%- set fresh = table.identifier ~ '_fresh' -%}
    {%- set names = adapter.get_columns_in_relation(table) | map(attribute='name') | list -%}
    {%- set keys = names | reject('in', sums) | join(', ') -%}
    {%- set columns = names | join(', ') -%}
    {%- set grain = config.get('indexes')[0]['columns'] | join(', ') %}
    create temporary table {{ difference }} on commit drop as
    select {{ keys }}{% for each in sums %}, sum({{ each }}) as {{ each }}{% endfor %}
    from (
        select {{ keys }}, {{ sums | join(', ') }}
        from (
            {{ query_over_change(query, change, 'after') }}
        ) as counted_now
        union all
        select {{ keys }}{% for each in sums %}, -{{ each }}{% endfor %}
        from (
            {{ query_over_change(query, change, 'before') }}
        ) as counted_before
    ) as counted
    group by {{ keys }}
    having {% for each in sums %}sum({{ each }}) <> 0{{ ' or ' if not loop.last }}{% endfor %};

    analyze {{ difference }};

    create temporary table {{ fresh }} on commit drop as
    select {{ keys }}{% for each in sums %}, sum({{ each }}) as {{ each }}{% endfor %}
    from (
        select {{ keys }}, {{ sums | join(', ') }}
        from {{ table }}
        where ({{ grain }}) in (select {{ grain }} from {{ difference }})
        union all
        select {{ keys }}, {{ sums | join(', ') }}
        from {{ difference }}
    ) as summed
    group by {{ keys }}
    having sum(items) <> 0;

    {{ write_difference(table, fresh, '(' ~ grain ~ ') in (select ' ~ grain ~ ' from ' ~ difference ~ ')') }}
{% endmacro %}


{#
    The days of the change, and where a buyer's first day is another one now, both days: he is counted as new there. A
    day of the change is one of the two; the other, if it is none, is the day of his first sale that did not arrive.
#}
{% macro update_days(table, query, change, day) %}
    {%- set days = table.identifier ~ '_days' -%}
    {%- set fresh = table.identifier ~ '_fresh' -%}
    {%- set facts = graph.nodes['model.deftunes.fact_session'].relation_name -%}
    {%- set in_days = day ~ ' in (select day from ' ~ days ~ ')' %}
    create temporary table {{ days }} on commit drop as
    with buyers as (
        select
            user_id,
            min({{ day }}) filter (where side = 'before') as before_it,
            min({{ day }}) filter (where side = 'after') as after_it
        from {{ change }}
        group by user_id
    )

    select {{ day }} as day
    from {{ change }}
    union
    select kept.{{ day }}
    from buyers
    cross join lateral (
        {{ first_sale(facts, 'buyers', day, 'not exists (select 1 from ' ~ change
            ~ " as arrived where arrived.side = 'after' and arrived.session_id = facts.session_id)") }}
    ) as kept
    where least(kept.{{ day }}, buyers.before_it) <> least(kept.{{ day }}, buyers.after_it);

    analyze {{ days }};

    create temporary table {{ fresh }} on commit drop as
    {{ query_over(
        query,
        'select * from ' ~ facts ~ ' where ' ~ in_days,
        'select buyers.user_id, first_sale.' ~ day ~ ' from (select distinct user_id from ' ~ facts ~ ' where ' ~ in_days
        ~ ') as buyers cross join lateral (' ~ first_sale(facts, 'buyers', day) ~ ') as first_sale',
    ) }};

    {{ write_difference(table, fresh, in_days) }}
{% endmacro %}


{% macro first_sale(facts, buyers, day, condition='true') -%}
    select facts.{{ day }}
    from {{ facts }} as facts
    where facts.user_id = {{ buyers }}.user_id and {{ condition }}
    order by facts.session_start_time
    limit 1
{%- endmacro %}


{# Of the rows of `table` where the condition holds, only those are written that `fresh` has differently, or not at all. #}
{% macro write_difference(table, fresh, condition) %}
    {%- set columns = adapter.get_columns_in_relation(table) | map(attribute='name') | join(', ') -%}
    {%- set grain = config.get('indexes')[0]['columns'] | join(', ') %}
    delete from {{ table }}
    where ({{ grain }}) in (
        select {{ grain }}
        from (
            select {{ columns }} from {{ table }} where {{ condition }}
            except
            select {{ columns }} from {{ fresh }}
        ) as leaving
    );

    insert into {{ table }} ({{ columns }})
    select {{ columns }} from {{ fresh }}
    except
    select {{ columns }} from {{ table }} where {{ condition }};
{% endmacro %}
