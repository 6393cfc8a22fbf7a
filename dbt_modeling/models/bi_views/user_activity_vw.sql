-- Beside the grain, an index for each way to count buyers once: in its order they need not be sorted, and it has all
-- columns that the question names, so the view itself is not read.
{{
    config(
        indexes=[
            {'columns': ['session_year', 'session_month', 'user_id', 'currency'], 'unique': true},
            {'columns': ['currency', 'user_id', 'session_year']},
            {'columns': ['currency', 'sessions', 'user_id', 'session_year']},
        ],
        meta={'sums': ['sessions', 'items', 'liked_items', 'total_sales']},
    )
}}
-- depends_on: {{ sales_shown() }}

with

sales as (

    select * from {{ ref('fact_session') }}

),

-- Sessions are counted by grouping twice: Redshift keeps no view with COUNT(DISTINCT) up to date. Grouped by nothing
-- but the session: by user too, PostgreSQL would walk the facts in the order of an index, one random read per sale.
sessions as (

    {{ sales_by_session('sales') }}

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
