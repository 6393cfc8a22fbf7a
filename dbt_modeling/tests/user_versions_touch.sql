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
        users.user_id,
        users.valid_from,
        users.valid_to,
        users.is_current,
        lag(users.valid_to) over (partition by users.user_id order by users.valid_from) as previous_to,
        lead(users.valid_from) over (partition by users.user_id order by users.valid_from) as next_from
    {%- if scope()['everything'] %}
    from {{ ref('dim_users') }} as users
    {%- else %}
    from touched
    {{ look_up(
        ref('dim_users'), 'users', ['user_id', 'valid_from', 'valid_to', 'is_current'],
        'users.user_id = touched.user_id', kind='inner', one_is_enough=false
    ) }}
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
