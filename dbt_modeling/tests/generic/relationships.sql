{# dbt's own test reads the whole parent; this one looks up each key that the rows under test name. #}
{% test relationships(model, column_name, to, field) %}
with

keys as (

    select distinct {{ column_name }} as from_field
    from {{ model }}
    where {{ column_name }} is not null

)

select keys.from_field
from keys
{{ look_up(to, 'parent', [field], 'parent.' ~ field ~ ' = keys.from_field') }}
where parent.{{ field }} is null
{% endtest %}
