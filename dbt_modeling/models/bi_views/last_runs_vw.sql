{{ config(materialized='view') }}

-- How `model` itself ended is known after it has built this: a plain view.
with

runs as (

    select * from {{ source('deftunes_control', 'runs') }}

),

ranked as (

    select
        stage,
        entity,
        started_at,
        ended_at,
        outcome,
        exit_code,
        run_id,
        row_number() over (partition by stage, entity order by ended_at desc, started_at desc, run_id desc) as age
    from runs

),

final as (

    select
        stage,
        entity,
        started_at,
        ended_at,
        outcome,
        exit_code,
        run_id
    from ranked
    where age = 1

)

select * from final
