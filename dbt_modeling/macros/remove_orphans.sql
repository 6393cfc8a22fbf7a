{#
    Members that nothing names any more, removed in the transaction that replaces the facts: a reader never sees a fact
    without its member. Candidates are the members in scope, so this costs the change.
#}
{% macro remove_orphans() %}
    {%- set sessions = source('deftunes_transform', 'sessions') -%}
    {%- set songs = source('deftunes_transform', 'songs') -%}
    {%- set users = source('deftunes_transform', 'users') -%}
    {%- set all_members = scope()['everything'] or not is_incremental() %}

    {%- for dimension, key in [('dim_songs', 'track_id'), ('dim_artists', 'artist_id')] %}
    delete from {{ ref(dimension) }}
    where {{ key }} in (
        select members.{{ key }}
        from (
            {%- if all_members %}
            select {{ key }} from {{ ref(dimension) }}
            {%- else %}
            {{ changed_members({'track_id': 'songs', 'artist_id': 'artists'}[key], key) }}
            {%- endif %}
        ) as members
        {{ look_up(songs, 'songs', [key], 'songs.' ~ key ~ ' = members.' ~ key) }}
        {{ look_up(sessions, 'sessions', [key], 'sessions.' ~ key ~ ' = members.' ~ key) }}
        where songs.{{ key }} is null and sessions.{{ key }} is null
    );
    {%- endfor %}

    delete from {{ ref('dim_users') }}
    where user_key in (
        with held as (
            select user_key, user_id, is_inferred
            from {{ ref('dim_users') }}
            {%- if not all_members %}
            where user_id in ({{ changed_members('users', 'user_id') }})
            {%- endif %}
        ),
        known as (
            select user_id, effective_from
            from {{ users }}
            where user_id in (select user_id from held)
        ),
        versions as (
            {{ user_versions('known') }}
        )
        select held.user_key
        from held
        left join versions on held.user_key = {{ user_key('versions.user_id', 'versions.valid_from') }}
        {{ look_up(sessions, 'sessions', ['user_id'], 'sessions.user_id = held.user_id and held.is_inferred') }}
        where versions.user_id is null and sessions.user_id is null
    )
{% endmacro %}
