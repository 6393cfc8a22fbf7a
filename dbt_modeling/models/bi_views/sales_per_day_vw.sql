{{
    config(
        indexes=[{'columns': ['session_date', 'currency'], 'unique': true}],
        meta={'by_day': 'session_date'},
    )
}}
-- depends_on: {{ sales_shown() }}

with

sales as (

    select * from {{ ref('fact_session') }}

),

-- By another name: PostgreSQL writes a CTE that is read twice to disk first.
history as (

    select * from {{ earlier_sales(ref('fact_session')) }}

),

-- Sessions and buyers are counted by grouping again: Redshift keeps no view with COUNT(DISTINCT) up to date.
sessions as (

    {{ sales_by_session('sales') }}

),

buyers as (

    select
        user_id,
        session_date,
        currency,
        count(*) as sessions,
        sum(items) as items,
        sum(liked_items) as liked_items,
        sum(sales) as sales
    from sessions
    group by
        user_id,
        session_date,
        currency

),

first_days as (

    select
        user_id,
        min(session_date) as first_day
    from history
    group by user_id

),

final as (

    select
        buyers.session_date,
        buyers.currency,
        sum(buyers.sales) as total_sales,
        cast(sum(buyers.items) as bigint) as items,
        cast(sum(buyers.liked_items) as bigint) as liked_items,
        cast(sum(buyers.sessions) as bigint) as sessions,
        count(*) as buyers,
        cast(sum(case when first_days.first_day = buyers.session_date then 1 else 0 end) as bigint) as new_buyers
    from buyers
    inner join first_days on buyers.user_id = first_days.user_id
    group by
        buyers.session_date,
        buyers.currency

)

select * from final
