-- A session that turned up under another day has left the old one.
with

sessions_in_scope as (

    select distinct
        session_id,
        session_date
    from {{ ref('fact_session') }}
    where {{ date_in_scope('session_date') }}

),

final as (

    select sessions_in_scope.session_id
    from sessions_in_scope
    {{ look_up(
        ref('fact_session'), 'sales', ['session_id'],
        'sales.session_id = sessions_in_scope.session_id and sales.session_date <> sessions_in_scope.session_date',
        kind='inner'
    ) }}

)

select * from final
