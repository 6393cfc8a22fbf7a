{{
    config(
        indexes=[{'columns': ['session_year', 'session_month', 'country_code', 'currency'], 'unique': true}],
        meta={'sums': ['items', 'total_sales']},
    )
}}
-- depends_on: {{ sales_shown() }}

with

sales as (

    select * from {{ ref('fact_session') }}

),

users as (

    select * from {{ ref('dim_users') }}

),

final as (

    select
        cast(extract(month from sales.session_date) as integer) as session_month,
        cast(extract(year from sales.session_date) as integer) as session_year,
        coalesce(users.country_code, 'unknown') as country_code,
        sales.currency,
        count(*) as items,
        sum(sales.price) as total_sales
    from sales
    inner join users on sales.user_key = users.user_key
    group by
        cast(extract(month from sales.session_date) as integer),
        cast(extract(year from sales.session_date) as integer),
        coalesce(users.country_code, 'unknown'),
        sales.currency

)

select * from final
