{{
    config(
        indexes=[{'columns': ['session_year', 'country_code', 'release_decade', 'currency'], 'unique': true}],
        meta={'sums': ['items', 'liked_items', 'total_sales']},
    )
}}
-- depends_on: {{ sales_shown() }}

with

sales as (

    select * from {{ ref('fact_session') }}

),

songs as (

    select * from {{ ref('dim_songs') }}

),

users as (

    select * from {{ ref('dim_users') }}

),

described as (

    select
        cast(extract(year from sales.session_date) as integer) as session_year,
        coalesce(users.country_code, 'unknown') as country_code,
        case
            when songs.year is null then 'unknown'
            else cast(songs.year - mod(songs.year, 10) as {{ dbt.type_string() }}) || 's'
        end as release_decade,
        sales.currency,
        case when sales.liked then 1 else 0 end as liked_items,
        sales.price
    from sales
    inner join songs on sales.track_id = songs.track_id
    inner join users on sales.user_key = users.user_key

),

final as (

    select
        session_year,
        country_code,
        release_decade,
        currency,
        count(*) as items,
        sum(liked_items) as liked_items,
        sum(price) as total_sales
    from described
    group by
        session_year,
        country_code,
        release_decade,
        currency

)

select * from final
