-- Every view of sales sells what the facts sell, per currency, to the cent: a member lost or doubled takes its sales
-- out of a view or brings them twice, and no other test would see that. A daily run compares the days that it computed
-- with the facts, and the other views with these days' months and years; it reads no more of the history.
{%- set everything = scope()['everything'] %}
{%- set by_month = ['sales_per_country_vw', 'user_activity_vw'] %}
{%- set by_year = ['sales_per_artist_vw', 'music_preference_vw'] %}
with

facts as (

    select
        session_date,
        currency,
        sum(price) as total_sales
    from {{ ref('fact_session') }}
    where {{ date_in_scope('session_date') }}
    group by
        session_date,
        currency

),

days as (

    select
        session_date,
        currency,
        cast(extract(year from session_date) as integer) as session_year,
        cast(extract(month from session_date) as integer) as session_month,
        total_sales
    from {{ ref('sales_per_day_vw') }}

),

touched as (

    select distinct
        session_year,
        session_month
    from days
    where {{ date_in_scope('session_date') }}

),

{% for view in by_month + by_year -%}
{%- set period = ['session_year', 'session_month'] if view in by_month else ['session_year'] %}
{%- set columns = period | join(', ') %}
{%- set in_touched = '' if everything else 'where (' ~ columns ~ ') in (select ' ~ columns ~ ' from touched)' %}
{{ view }}_sums as (

    select
        {{ period | join(',\n        ') }},
        currency,
        sum(total_sales) as total_sales
    from {{ ref(view) }}
    {{ in_touched }}
    group by
        {{ period | join(',\n        ') }},
        currency

),

{{ view }}_days as (

    select
        {{ period | join(',\n        ') }},
        currency,
        sum(total_sales) as total_sales
    from days
    {{ in_touched }}
    group by
        {{ period | join(',\n        ') }},
        currency

),

{% endfor -%}
final as (

    select
        'sales_per_day_vw' as view_name,
        coalesce(facts.currency, held.currency) as currency,
        facts.total_sales as expected,
        held.total_sales as found
    from facts
    full outer join (select * from days where {{ date_in_scope('session_date') }}) as held
        on facts.session_date = held.session_date and facts.currency = held.currency
    where coalesce(facts.total_sales, 0) <> coalesce(held.total_sales, 0)

    {%- for view in by_month + by_year %}

    union all

    select
        '{{ view }}' as view_name,
        coalesce(days.currency, sums.currency) as currency,
        days.total_sales as expected,
        sums.total_sales as found
    from {{ view }}_days as days
    full outer join {{ view }}_sums as sums
        on
            days.session_year = sums.session_year
            {%- if view in by_month %}
            and days.session_month = sums.session_month
            {%- endif %}
            and days.currency = sums.currency
    where coalesce(days.total_sales, 0) <> coalesce(sums.total_sales, 0)
    {%- endfor %}

)

select * from final
