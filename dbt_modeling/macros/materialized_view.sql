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


{#
    A view that is replaced is another object, to which nobody was granted anything: it is created with the rights that
    others have on the one that it replaces, in the same transaction. In the owner's name, who is the one that runs this.
#}
{% macro postgres__get_create_materialized_view_as_sql(relation, sql) %}
    create materialized view if not exists {{ relation }} as {{ sql }};
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
