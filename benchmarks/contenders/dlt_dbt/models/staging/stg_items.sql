-- A session that was loaded again counts once, as it came last.
with

sessions as (

    select
        *,
        row_number() over (partition by session_id order by _dlt_load_id desc) as age
    from {{ source('raw', 'sessions') }}

),

items as (

    select * from {{ source('raw', 'sessions__session_items') }}

)

select
    sessions.session_id,
    items._dlt_list_idx + 1 as item_number,
    sessions.user_id,
    items.song_id as track_id,
    items.artist_id,
    cast(items.price as numeric(10, 2)) as price,
    items.currency,
    items.liked,
    cast(items.liked_since as timestamptz) as liked_since,
    cast(sessions.session_start_time as timestamptz) as session_start_time,
    cast(cast(sessions.session_start_time as timestamptz) at time zone 'UTC' as date) as session_date,
    sessions.user_agent
from sessions
inner join items on sessions._dlt_id = items._dlt_parent_id
where sessions.age = 1
