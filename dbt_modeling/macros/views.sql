{# Views of other schemas' readers: what survives a release, and what a release may replace. #}

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


{#
    dbt's own macro, with one addition: --full-refresh replaces a plain view only where its SQL is another. What people
    built on a view stands as long as it does. PostgreSQL compares: it shows both definitions in one form.
#}
{% macro should_full_refresh() %}
    {%- set asked = dbt.should_full_refresh() -%}
    {%- if not asked or target.type != 'postgres' or config.get('materialized') != 'view' -%}
        {{ return(asked) }}
    {%- endif -%}
    {%- set held = load_cached_relation(this) -%}
    {%- if held is none or held.type != 'view' -%}
        {{ return(true) }}
    {%- endif -%}
    {{ return(shown_query(sql) != run_query("select pg_get_viewdef('" ~ held ~ "'::regclass)").columns[0].values()[0]) }}
{% endmacro %}


{# A query as PostgreSQL shows it: in one form, whatever it is written like. #}
{% macro shown_query(query) %}
    {%- set offered = this.identifier ~ '_offered' -%}
    {%- do run_query('create temporary view ' ~ offered ~ ' as ' ~ query) -%}
    {%- set shown = run_query("select pg_get_viewdef('pg_temp." ~ offered ~ "'::regclass)").columns[0].values()[0] -%}
    {%- do run_query('drop view pg_temp.' ~ offered) -%}
    {{ return(shown) }}
{% endmacro %}


{# The adapter's would drop what people built on the view, too; without CASCADE PostgreSQL names it and keeps all. #}
{% macro postgres__drop_view(relation) -%}
    drop view if exists {{ relation }}
{%- endmacro %}


{# The adapter's own: a project's macro for PostgreSQL would be taken for Redshift too, ahead of the adapter's. #}
{% macro redshift__drop_view(relation) -%}
    {{ return(dbt.redshift__drop_view(relation)) }}
{%- endmacro %}
