{{
    config(
        unique_key='session_id',
        meta={'replace_days': 'session_date'},
        indexes=[
            {'columns': ['session_id', 'item_number'], 'unique': true},
            {'columns': ['session_date']},
            {'columns': ['user_id', 'session_start_time']},
        ],
        post_hook="{{ remove_orphans() }}",
    )
}}
-- depends_on: {{ ref('dim_artists') }}, {{ ref('dim_songs') }}, {{ ref('dim_users') }}
{%- set all_sales = everything() %}

with

sessions as (

    select * from {{ ref('stg_sessions') }}

),

users as (

    select * from {{ ref('stg_users') }}

),

sales as (

    select
        session_id,
        item_number,
        user_id,
        track_id,
        artist_id,
        price,
        currency,
        liked,
        liked_since,
        session_start_time,
        session_date,
        user_agent
    from sessions
    {%- if not all_sales %}
    where {{ instant_in_scope('session_start_time') }}

    union all

    -- Nothing but the key of these can be new, so they are not read from silver again.
    select
        held.session_id,
        held.item_number,
        held.user_id,
        held.track_id,
        held.artist_id,
        held.price,
        held.currency,
        held.liked,
        held.liked_since,
        held.session_start_time,
        held.session_date,
        held.user_agent
    from {{ this }} as held
    inner join (
        {{ rekeyed_users() }}
    ) as rekeyed on held.user_id = rekeyed.user_id and held.session_start_time >= rekeyed.since
    where not {{ date_in_scope('held.session_date') }}
    {%- endif %}

),

known as (

    select
        user_id,
        effective_from
    from users
    {%- if not all_sales %}
    where user_id in (select user_id from sales)
    {%- endif %}

),

versions as (

    {{ user_versions('known') }}

),

final as (

    select
        sales.session_id,
        sales.item_number,
        sales.user_id,
        {{ user_key('sales.user_id', 'coalesce(versions.valid_from, ' ~ first_instant() ~ ')') }} as user_key,
        sales.track_id,
        sales.artist_id,
        sales.price,
        sales.currency,
        sales.liked,
        sales.liked_since,
        sales.session_start_time,
        sales.session_date,
        sales.user_agent
    from sales
    left join versions
        on
            sales.user_id = versions.user_id
            and sales.session_start_time >= versions.valid_from
            and sales.session_start_time < versions.valid_to

)

select * from final
