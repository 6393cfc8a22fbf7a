{{
    config(
        unique_key='artist_id',
        indexes=[{'columns': ['artist_id'], 'unique': true}],
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
    select artist_id from songs
    union
    select artist_id from sessions
    {% else %}
    {{ changed_members('artists', 'artist_id') }}
    {% endif %}

),

members_and_names as (

    select
        members.artist_id as member_id,
        songs.artist_id,
        songs.artist_name,
        count(*) as songs
    from members
    left join songs on members.artist_id = songs.artist_id
    group by members.artist_id, songs.artist_id, songs.artist_name

),

ranked_names as (

    select
        artist_id,
        artist_name,
        row_number() over (
            partition by artist_id
            order by
                case when artist_name is null then 1 else 0 end,
                songs desc,
                {{ byte_order('artist_name') }}
        ) as place
    from members_and_names
    where artist_id is not null

),

uncatalogued as (

    select member_id as artist_id
    from members_and_names
    where artist_id is null

),

first_sales as (

    {{ earliest_sale('uncatalogued', 'artist_id', ['artist_name']) }}

),

final as (

    select
        artist_id,
        artist_name,
        false as is_inferred
    from ranked_names
    where place = 1

    union all

    select
        artist_id,
        artist_name,
        true as is_inferred
    from first_sales

)

select * from final
