{{
    config(
        indexes=[{'columns': ['session_year', 'artist_id', 'currency'], 'unique': true}],
        meta={'sums': ['items', 'total_sales']},
    )
}}
-- depends_on: {{ sales_shown() }}

with

sales as (

    select * from {{ ref('fact_session') }}

),

artists as (

    select * from {{ ref('dim_artists') }}

),

final as (

    select
        cast(extract(year from sales.session_date) as integer) as session_year,
        artists.artist_id,
        artists.artist_name,
        sales.currency,
        count(*) as items,
        sum(sales.price) as total_sales
    from sales
    inner join artists on sales.artist_id = artists.artist_id
    group by
        cast(extract(year from sales.session_date) as integer),
        artists.artist_id,
        artists.artist_name,
        sales.currency

)

select * from final
