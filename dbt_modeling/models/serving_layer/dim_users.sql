{{
    config(
        unique_key='user_key',
        indexes=[{'columns': ['user_key'], 'unique': true}, {'columns': ['user_id']}],
    )
}}

{%- set all_members = everything() %}
{%- set attributes = ['user_name', 'user_lastname', 'user_since', 'place_name', 'country_code', 'timezone'] %}

with

users as (

    select * from {{ ref('stg_users') }}

),

sessions as (

    select * from {{ ref('stg_sessions') }}

),

members as (

    {% if all_members %}
    select user_id from users
    union
    select user_id from sessions
    {% else %}
    {{ changed_members('users', 'user_id') }}
    {% endif %}

),

members_and_users as (

    select
        members.user_id as member_id,
        users.user_id,
        users.effective_from,
        users.{{ attributes | join(',\n        users.') }}
    from members
    left join users on members.user_id = users.user_id

),

known as (

    select
        user_id,
        effective_from,
        {{ attributes | join(',\n        ') }}
    from members_and_users
    where user_id is not null

),

versions as (

    {{ user_versions('known', attributes) }}

),

buyers as (

    select distinct members_and_users.member_id as user_id
    from members_and_users
    {% if not all_members %}
    inner join sessions on members_and_users.member_id = sessions.user_id
    {% endif %}
    where members_and_users.user_id is null

),

final as (

    select
        {{ user_key('user_id', 'valid_from') }} as user_key,
        user_id,
        {{ attributes | join(',\n        ') }},
        valid_from,
        valid_to,
        valid_to = {{ last_instant() }} as is_current,
        false as is_inferred
    from versions

    union all

    select
        {{ user_key('user_id', first_instant()) }} as user_key,
        user_id,
        cast(null as {{ dbt.type_string() }}) as user_name,
        cast(null as {{ dbt.type_string() }}) as user_lastname,
        cast(null as timestamp with time zone) as user_since,
        cast(null as {{ dbt.type_string() }}) as place_name,
        cast(null as {{ dbt.type_string() }}) as country_code,
        cast(null as {{ dbt.type_string() }}) as timezone,
        {{ first_instant() }} as valid_from,
        {{ last_instant() }} as valid_to,
        true as is_current,
        true as is_inferred
    from buyers

)

select * from final
