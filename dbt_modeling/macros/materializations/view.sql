{#
    A plain view is replaced only where its SQL may have changed, and then with the rights that others have on the one
    before: dbt's own makes another object in every run, to which nobody was granted anything.
#}
{% materialization view, adapter='postgres' %}
    {{ return(replace_view()) }}
{% endmaterialization %}


{% materialization view, adapter='redshift' %}
    {{ return(replace_view()) }}
{% endmaterialization %}


{% macro replace_view() %}
    {%- set existing = load_cached_relation(this) -%}
    {%- set view = this.incorporate(type='view') -%}
    {%- set replaced = existing is none or should_full_refresh() -%}
    {{ run_hooks(pre_hooks) }}
    {%- if not replaced -%}
        {%- do store_raw_result(name='main', message='skip ' ~ view, code='skip', rows_affected='-1') -%}
    {%- else -%}
        {%- set grants = grants_of(this, view) if target.type == 'postgres' else [] -%}
        {%- call statement('main') -%}
            {%- if existing is not none %}
            {{ get_drop_sql(existing) }};
            {%- endif %}
            {{ get_create_view_as_sql(view, sql) }}
            {%- for statement in grants %}
            {{ statement }};
            {%- endfor %}
        {%- endcall -%}
    {%- endif -%}
    {{ run_hooks(post_hooks) }}
    {%- if replaced -%}
        {%- do adapter.commit() -%}
    {%- endif -%}
    {{ return({'relations': [view]}) }}
{% endmacro %}
