{{ config(unique_key='session_date', meta={'replace_days': 'session_date'}) }}

with

sales as (

    select * from {{ ref('fact_session') }}
    {%- if not everything() %}
    where {{ date_in_scope('session_date') }}
    {%- endif %}

),

final as (

    select
        session_date,
        count(*) as items,
        count(distinct session_id) as sessions
    from sales
    group by session_date

)

select * from final
