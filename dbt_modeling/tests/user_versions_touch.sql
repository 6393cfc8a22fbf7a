-- A user's versions follow each other without a gap and without an overlap, and the last one is the current one.
with

versions as (

    select
        user_id,
        valid_from,
        valid_to,
        is_current,
        lead(valid_from) over (partition by user_id order by valid_from) as next_from
    from {{ ref('dim_users') }}
    -- After the facts: only then removed versions are gone.
    where user_id in (select distinct user_id from {{ ref('fact_session') }} where {{ date_in_scope('session_date') }})

),

final as (

    select user_id
    from versions
    where
        valid_to <> coalesce(next_from, {{ last_instant() }})
        or is_current <> (next_from is null)

)

select * from final
