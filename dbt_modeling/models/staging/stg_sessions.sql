with

source as (

    select * from {{ source('deftunes_transform', 'sessions') }}

),

final as (

    select
        session_id,
        item_number,
        user_id,
        track_id,
        song_name,
        artist_id,
        artist_name,
        price,
        currency,
        liked,
        liked_since,
        session_start_time,
        {{ utc_date('session_start_time') }} as session_date,
        user_agent
    from source

)

select * from final
