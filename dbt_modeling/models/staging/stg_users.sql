with

source as (

    select * from {{ source('deftunes_transform', 'users') }}

),

final as (

    select
        user_id,
        effective_from,
        user_name,
        user_lastname,
        user_since,
        place_name,
        country_code,
        timezone
    from source

)

select * from final
