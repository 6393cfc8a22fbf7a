with

source as (

    select * from {{ source('deftunes_transform', 'songs') }}

),

final as (

    select
        track_id,
        song_id,
        title,
        release,
        nullif(year, 0) as year,
        artist_id,
        artist_name,
        coalesce(is_deleted, false) as is_deleted
    from source

)

select * from final
