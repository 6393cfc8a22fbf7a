{# Readers go on during a refresh; needs a unique index on the view, which is its grain. #}
{% macro postgres__refresh_materialized_view(relation) -%}
    {{ bounded_memory() }}
    refresh materialized view concurrently {{ relation }}
{%- endmacro %}


{#
    A view groups every fact: in the 4 MB that a statement has by default it would sort on disk. But several views are
    computed at once, each sorts and hashes in several places, and a worker process takes as much again: with more than
    this a small server runs out of memory, and its kernel kills it.
#}
{% macro bounded_memory() -%}
    set local work_mem = '16MB';
    set local hash_mem_multiplier = 1;
    set local max_parallel_workers_per_gather = 0;
    set local jit = off;
{%- endmacro %}


{# The adapter's own: a project's macro for PostgreSQL would be taken for Redshift too, ahead of the adapter's. #}
{% macro redshift__refresh_materialized_view(relation) -%}
    refresh materialized view {{ relation }}
{%- endmacro %}


{#
    A view that is replaced is another object, to which nobody was granted anything: it is created with the rights that
    others have on the one that it replaces, in the same transaction. In the owner's name, who is the one that runs this.
    Vacuumed after each day: a question that an index answers alone needs pages that are known to be visible to all.
#}
{% macro postgres__get_create_materialized_view_as_sql(relation, sql) %}
    {{ bounded_memory() }}
    create materialized view if not exists {{ relation }}
    with (autovacuum_vacuum_scale_factor = 0.001, autovacuum_vacuum_insert_scale_factor = 0.001)
    as {{ sql }};
    {% for index in config.get('indexes', []) %}
    {{ get_create_index_sql(relation, index) }};
    {% endfor %}
    {% for statement in grants_of(this, relation) %}
    {{ statement }};
    {% endfor %}
{% endmacro %}


{# The statements that grant on `target` what others were granted on `relation`, by column too. #}
{% macro grants_of(relation, target) %}
    {%- set rights = run_query(
        "select distinct format('grant %s%s on " ~ target ~ " to %s%s', lower(privilege), column_list, grantee, option) "
        "from (select acl.privilege_type as privilege, column_list, "
        "case acl.grantee when 0 then 'public' else quote_ident(pg_get_userbyid(acl.grantee)) end as grantee, "
        "case when acl.is_grantable then ' with grant option' else '' end as option "
        "from (select relacl as list, '' as column_list, relowner from pg_class where oid = to_regclass('" ~ relation ~ "') "
        "union all select attacl, ' (' || quote_ident(attname) || ')', relowner from pg_attribute "
        "inner join pg_class on pg_class.oid = attrelid where attrelid = to_regclass('" ~ relation ~ "') "
        "and not attisdropped) as lists, aclexplode(lists.list) as acl where acl.grantee <> relowner) as rights order by 1"
    ) -%}
    {{ return(rights.columns[0].values() | list if execute else []) }}
{% endmacro %}


{% macro redshift__get_create_materialized_view_as_sql(relation, sql) -%}
    {{ return(dbt.redshift__get_create_materialized_view_as_sql(relation, sql)) }}
{%- endmacro %}


{#
    dbt's own macro, with one addition: --full-refresh replaces a view only where its SQL or its indexes are others. What
    people built on a view stands as long as it does. PostgreSQL compares: it shows both definitions in one form.
#}
{% macro should_full_refresh() %}
    {%- set asked = dbt.should_full_refresh() -%}
    {%- set kind = config.get('materialized') -%}
    {%- if not asked or target.type != 'postgres' or kind not in ('materialized_view', 'view') -%}
        {{ return(asked) }}
    {%- endif -%}
    {%- set held = load_cached_relation(this) -%}
    {%- if held is none or held.type != kind -%}
        {{ return(true) }}
    {%- endif -%}
    {%- set offered = this.identifier ~ '_offered' -%}
    {%- do run_query('create temporary view ' ~ offered ~ ' as ' ~ sql) -%}
    {%- set same = run_query(
        "select pg_get_viewdef('pg_temp." ~ offered ~ "'::regclass) = pg_get_viewdef('" ~ held ~ "'::regclass)"
    ).columns[0].values()[0] -%}
    {%- do run_query('drop view pg_temp.' ~ offered) -%}
    {{ return(
        not same or (kind == 'materialized_view' and get_materialized_view_configuration_changes(held, config) is not none)
    ) }}
{% endmacro %}


{# The adapter's would drop what people built on the view, too; without CASCADE PostgreSQL names it and keeps all. #}
{% macro postgres__drop_materialized_view(relation) -%}
    drop materialized view if exists {{ relation }}
{%- endmacro %}


{% macro postgres__drop_view(relation) -%}
    drop view if exists {{ relation }}
{%- endmacro %}


{% macro redshift__drop_view(relation) -%}
    {{ return(dbt.redshift__drop_view(relation)) }}
{%- endmacro %}


{% macro redshift__drop_materialized_view(relation) -%}
    {{ return(dbt.redshift__drop_materialized_view(relation)) }}
{%- endmacro %}
