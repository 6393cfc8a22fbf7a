-- A user's versions follow each other from the first instant on, without a gap and without an overlap, and the last one
-- is the current one.
with

-- Whose versions this run computed, and who bought in these days.
touched as (

    {{ changed_members('users', 'user_id') }}

    union

    -- From the facts, so that the test comes after them: only then removed versions are gone.
    select user_id
    from {{ ref('fact_session') }}
    where {{ date_in_scope('session_date') }}

),

versions as (

    select
        user_id,
        valid_from,
        valid_to,
        is_current,
        lag(valid_to) over (partition by user_id order by valid_from) as previous_to,
        lead(valid_from) over (partition by user_id order by valid_from) as next_from
    from {{ ref('dim_users') }}
    {%- if not scope()['everything'] %}
    where user_id in (select user_id from touched)
    {%- endif %}

),

final as (

    select user_id
    from versions
    where
        valid_from <> coalesce(previous_to, {{ first_instant() }})
        or valid_to <> coalesce(next_from, {{ last_instant() }})
        or is_current <> (next_from is null)

)

select * from final
