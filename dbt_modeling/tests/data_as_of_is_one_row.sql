-- One row says how far the data goes, and it counts the items that the views of sales count.
with

as_of as (

    select
        count(*) as found,
        max(data_through) as data_through,
        max(items) as items
    from {{ ref('data_as_of_vw') }}

),

days as (

    select
        max(session_date) as data_through,
        coalesce(sum(items), 0) as items
    from {{ ref('sales_per_day_vw') }}

),

final as (

    select
        as_of.found,
        as_of.data_through,
        as_of.items
    from as_of
    cross join days
    where
        as_of.found <> 1
        or as_of.items <> days.items
        or coalesce(as_of.data_through <> days.data_through, as_of.data_through is not null)

)

select * from final
