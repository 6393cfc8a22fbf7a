-- A session that turned up under another day has left the old one.
with

sales as (

    select * from {{ ref('fact_session') }}

),

final as (

    select session_id
    from sales
    where session_id in (select session_id from sales where {{ date_in_scope('session_date') }})
    group by session_id
    having min(session_date) <> max(session_date)

)

select * from final
