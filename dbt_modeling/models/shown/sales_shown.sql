{{
    config(
        unique_key='session_id',
        meta={'replace_days': 'session_date', 'keep_change': true},
        indexes=[
            {'columns': ['session_id', 'item_number'], 'unique': true},
            {'columns': ['session_date']},
            {'columns': ['user_key']},
            {'columns': ['track_id']},
            {'columns': ['artist_id']},
        ],
        post_hook="{{ name_whole_change() }}",
    )
}}

{%- set all_sales = everything() %}

with

sales as (

    select * from {{ ref('fact_session') }}

),

changed_sessions as (

    {%- if all_sales %}
    select distinct session_id from sales
    {%- else %}
    select session_id
    from sales
    where {{ date_in_scope('session_date') }}

    union

    select held.session_id
    from (
        {{ rekeyed_users() }}
    ) as rekeyed
    {{ look_up(
        ref('fact_session'), 'held', ['session_id'],
        'held.user_id = rekeyed.user_id and held.session_start_time >= rekeyed.since', kind='inner',
        one_is_enough=false
    ) }}

    union

    {{ redescribed('dim_users', 'user_key', ('users', 'user_id'), 'country_code', 'country_code') }}

    union

    {{ redescribed('dim_songs', 'track_id', ('songs', 'track_id'), 'year', 'song_year') }}

    union

    {{ redescribed('dim_artists', 'artist_id', ('artists', 'artist_id'), 'artist_name', 'artist_name') }}
    {%- endif %}

),

final as (

    select
        sold.session_id,
        sold.item_number,
        sold.user_id,
        sold.user_key,
        sold.track_id,
        sold.artist_id,
        sold.price,
        sold.currency,
        sold.liked,
        sold.session_date,
        users.country_code,
        songs.year as song_year,
        artists.artist_name
    from changed_sessions
    {{ look_up(
        ref('fact_session'), 'sold',
        [
            'session_id', 'item_number', 'user_id', 'user_key', 'track_id', 'artist_id', 'price', 'currency', 'liked',
            'session_date',
        ],
        'sold.session_id = changed_sessions.session_id', kind='inner', one_is_enough=false
    ) }}
    {{ look_up(
        ref('dim_users'), 'users', ['user_key', 'country_code'], 'users.user_key = sold.user_key', kind='inner',
        one_is_enough=false
    ) }}
    {{ look_up(
        ref('dim_songs'), 'songs', ['track_id', 'year'], 'songs.track_id = sold.track_id', kind='inner',
        one_is_enough=false
    ) }}
    {{ look_up(
        ref('dim_artists'), 'artists', ['artist_id', 'artist_name'], 'artists.artist_id = sold.artist_id', kind='inner',
        one_is_enough=false
    ) }}

)

select * from final
