{{ config(materialized='view') }}

-- It changes between two runs of `model`: a plain view.
with

held_back as (

    select * from {{ source('deftunes_control', 'held_back') }}

),

final as (

    select
        entity,
        reason,
        cast(sum(records) as bigint) as records,
        min(first_rejected_at) as first_rejected_at,
        max(last_rejected_at) as last_rejected_at
    from held_back
    group by
        entity,
        reason

)

select * from final
