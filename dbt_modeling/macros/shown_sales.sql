{#
    On PostgreSQL the views of sales are tables, brought up to date by what changed: a materialized view would be computed
    from all facts every day. `sales_shown` holds each fact as the views count it, and beside it stand the facts of its
    last change, as they were and as they are. docs/adr/0031 says why this is exact.
#}

{# What a view of sales is built after, on PostgreSQL; for a comment that says `depends_on`. #}
{% macro sales_shown() -%}
    {{ ref('sales_shown') if target.type == 'postgres' else 'nothing' }}
{%- endmacro %}


{# A relation of facts that a view reads for what was before its sales: an update hands it less than all of them. #}
{% macro earlier_sales(facts) -%}
    {{ facts }} as earlier
{%- endmacro %}


{# Facts of a changed member that the views count under another description than the member's present one. #}
{% macro redescribed(dimension, key, member, column, shown_column) -%}
    select held.session_id
    from {{ ref(dimension) }} as members
    -- All sales of a member have one description, so one of them tells whether it is another.
    cross join lateral (
        select any_sale.{{ shown_column }}
        from {{ this }} as any_sale
        where any_sale.{{ key }} = members.{{ key }}
        limit 1
    ) as one
    {{ look_up(this, 'held', ['session_id'], 'held.' ~ key ~ ' = members.' ~ key, kind='inner', one_is_enough=false) }}
    where
        members.{{ member[1] }} in ({{ changed_members(*member) }})
        and one.{{ shown_column }} is distinct from members.{{ column }}
{%- endmacro %}


{# The table beside `sales_shown` that holds its last change, by its name there. #}
{% macro last_change(relation) -%}
    {{ relation | replace('"sales_shown"', '"sales_shown_change"') }}
{%- endmacro %}


{#
    Around the replacement of the rows of `sales_shown`: keep what leaves and what arrives, and give the change a name.
    Where nothing differs the change before stays the last one, for a view that was killed before it showed it.
#}
{% macro keep_leaving(target, columns, key, differing) %}
    {%- set change = last_change(target) %}
    create table if not exists {{ change }} as
    select cast('before' as text) as side, {{ columns }}
    from {{ target }}
    where false;

    delete from {{ change }}
    where exists (select 1 from {{ differing }});

    insert into {{ change }} (side, {{ columns }})
    select 'before', {{ columns }}
    from {{ target }}
    where {{ key }} in (select {{ key }} from {{ differing }});
{% endmacro %}


{% macro keep_arriving(target, columns, key, differing, staged) %}
    {%- set change = last_change(target) %}
    insert into {{ change }} (side, {{ columns }})
    select 'after', {{ columns }}
    from {{ staged }}
    where {{ key }} in (select {{ key }} from {{ differing }});

    analyze {{ change }};

    update {{ source('deftunes_control', 'shown') }}
    set previous = change, change = {{ name_of_change() }}
    where name = '{{ target.identifier }}' and exists (select 1 from {{ differing }})
{% endmacro %}


{# After all of `sales_shown` was computed anew: what changed is not kept, and every view is computed anew, too. #}
{% macro name_whole_change() %}
    {%- if scope()['everything'] %}
    drop table if exists {{ last_change(this) }};
    delete from {{ source('deftunes_control', 'shown') }} where name = '{{ this.identifier }}';
    insert into {{ source('deftunes_control', 'shown') }} (name, change)
    select '{{ this.identifier }}', {{ name_of_change() }}
    {%- endif %}
{% endmacro %}


{# Never given twice: a number would be, after a restore. #}
{% macro name_of_change() -%}
    md5(random()::text || clock_timestamp()::text)
{%- endmacro %}


{#
    A view groups every fact when it is computed anew: in the 4 MB that a statement has by default it would sort on disk.
    But several views are computed at once, each sorts and hashes in several places, and a worker process takes as much
    again: with more than this a small server runs out of memory, and its kernel kills it.
#}
{% macro bounded_memory() -%}
    set local work_mem = '16MB';
    set local hash_mem_multiplier = 1;
    set local max_parallel_workers_per_gather = 0;
    set local jit = off;
{%- endmacro %}


{#
    A view's query over other relations than the whole star. `facts` and `earlier` stand in for the facts, `members` of
    each dimension for its rows.
#}
{% macro query_over(query, facts, earlier, members={}) %}
    {%- set ns = namespace(query=query) -%}
    {%- for id in model.depends_on.nodes -%}
        {%- set node = graph.nodes[id] -%}
        {%- if node.name == 'fact_session' -%}
            {%- set ns.query = ns.query | replace(earlier_sales(node.relation_name), '@earlier@')
                | replace(node.relation_name, '(' ~ facts ~ ') as sold') | replace('@earlier@', '(' ~ earlier ~ ') as earlier') -%}
        {%- elif node.name in members -%}
            {%- set ns.query = ns.query | replace(node.relation_name, '(' ~ members[node.name] ~ ') as members') -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return(ns.query) }}
{% endmacro %}


{# A view's query over one side of the last change: facts as the views counted them before, or count them now. #}
{% macro query_over_change(query, change, side) %}
    {%- set rows = "from " ~ change ~ " where side = '" ~ side ~ "'" -%}
    {{ return(query_over(query, 'select * ' ~ rows, 'select * ' ~ rows, {
        'dim_users': 'select distinct user_key, country_code ' ~ rows,
        'dim_songs': 'select distinct track_id, song_year as year ' ~ rows,
        'dim_artists': 'select distinct artist_id, artist_name ' ~ rows,
    })) }}
{% endmacro %}
