{# The grain: Redshift enforces no key, and a doubled row would double revenue. #}
{% test one_row_per(model, columns) %}
select
    {{ columns | join(',\n    ') }},
    count(*) as doubles
from {{ model }}
group by {{ columns | join(', ') }}
having count(*) > 1
{% endtest %}
