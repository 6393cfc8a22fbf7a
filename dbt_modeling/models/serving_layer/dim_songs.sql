{{
    config(
        unique_key='track_id',
        indexes=[{'columns': ['track_id'], 'unique': true}, {'columns': ['artist_id']}],
    )
}}

{%- set all_members = everything() %}

with

songs as (

    select * from {{ ref('stg_songs') }}

),

sessions as (

    select * from {{ ref('stg_sessions') }}

),

members as (

    {% if all_members %}
    select track_id from songs
    union
    select track_id from sessions
    {% else %}
    {{ changed_members('songs', 'track_id') }}
    {% endif %}

),

members_and_songs as (

    select
        members.track_id as member_id,
        songs.track_id,
        songs.song_id,
        songs.title,
        songs.release,
        songs.year,
        songs.artist_id,
        songs.is_deleted
    from members
    left join songs on members.track_id = songs.track_id

),

uncatalogued as (

    select member_id as track_id
    from members_and_songs
    where track_id is null

),

first_sales as (

    {{ earliest_sale('uncatalogued', 'track_id', ['song_name', 'artist_id']) }}

),

final as (

    select
        track_id,
        song_id,
        title,
        release,
        year,
        artist_id,
        is_deleted,
        false as is_inferred
    from members_and_songs
    where track_id is not null

    union all

    select
        track_id,
        cast(null as {{ dbt.type_string() }}) as song_id,
        song_name as title,
        cast(null as {{ dbt.type_string() }}) as release,
        cast(null as integer) as year,
        artist_id,
        false as is_deleted,
        true as is_inferred
    from first_sales

)

select * from final
