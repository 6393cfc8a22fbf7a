{{ config(indexes=[{'columns': ['session_year', 'session_month', 'user_id', 'currency'], 'unique': true}]) }}

with

sales as (

    select * from {{ ref('fact_session') }}

),

-- Sessions are counted by grouping twice: Redshift keeps no view with COUNT(DISTINCT) up to date. Grouped by nothing
-- but the session: by user too, PostgreSQL would walk the facts in the order of an index, one random read per sale.
sessions as (

    select
        session_id,
        currency,
        min(user_id) as user_id,
        min(session_date) as session_date,
        count(*) as items,
        sum(case when liked then 1 else 0 end) as liked_items,
        sum(price) as sales
    from sales
    group by
        session_id,
        currency

),

final as (

    select
        cast(extract(month from session_date) as integer) as session_month,
        cast(extract(year from session_date) as integer) as session_year,
        user_id,
        currency,
        count(*) as sessions,
        cast(sum(items) as bigint) as items,
        cast(sum(liked_items) as bigint) as liked_items,
        sum(sales) as total_sales
    from sessions
    group by
        cast(extract(month from session_date) as integer),
        cast(extract(year from session_date) as integer),
        user_id,
        currency

)

select * from final
