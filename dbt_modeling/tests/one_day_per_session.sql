-- A session that turned up under another day has left the old one.
with

sales as (

    select * from {{ ref('fact_session') }}

),

-- A second import of the facts: PostgreSQL would write one that is read twice to disk as a whole.
sales_in_scope as (

    select * from {{ ref('fact_session') }}
    where {{ date_in_scope('session_date') }}

),

final as (

    select sales_in_scope.session_id
    from sales_in_scope
    inner join sales on sales_in_scope.session_id = sales.session_id
    where sales_in_scope.session_date <> sales.session_date

)

select * from final
