{{ config(materialized='view') }}

-- How runs ended is known after the views are built, so this is a plain view. Of sales it reads a table: a view that is
-- replaced takes along what was built on it.
with

days as (

    select * from {{ ref('fact_session_day') }}

),

runs as (

    select * from {{ source('deftunes_control', 'runs') }}

),

newest_checks as (

    select
        entity,
        max(ended_at) as ended_at
    from runs
    where stage = 'check'
    group by entity

),

checks as (

    select
        max(runs.ended_at) as last_check_at,
        max(case when runs.exit_code = 0 then 0 else 1 end) as failures
    from runs
    inner join newest_checks on runs.entity = newest_checks.entity and runs.ended_at = newest_checks.ended_at
    where runs.stage = 'check'

),

loads as (

    select max(ended_at) as last_load_at
    from runs
    where stage = 'load' and exit_code = 0

),

held as (

    select
        max(session_date) as data_through,
        cast(coalesce(sum(items), 0) as bigint) as items,
        cast(coalesce(sum(sessions), 0) as bigint) as sessions
    from days

),

final as (

    select
        held.data_through,
        held.items,
        held.sessions,
        loads.last_load_at,
        checks.last_check_at,
        checks.failures = 0 as last_check_passed
    from held
    cross join loads
    cross join checks

)

select * from final
