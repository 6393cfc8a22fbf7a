-- Every view of sales sells what the facts sell, per currency, to the cent. All facts, not the months that this run
-- touched: a member lost or doubled takes its sales of any month out of a view or brings them twice, and no other test
-- would see that. It reads what a refresh reads, in a fraction of a refresh's time.
{%- set by_member = ['sales_per_artist_vw', 'sales_per_country_vw', 'user_activity_vw', 'music_preference_vw'] %}
{%- set views = by_member + ['sales_per_day_vw'] %}
with

facts as (

    select
        currency,
        sum(price) as total_sales
    from {{ ref('fact_session') }}
    group by currency

),

{% for view in views -%}
{{ view }}_sums as (

    select
        currency,
        sum(total_sales) as total_sales
    from {{ ref(view) }}
    group by currency

),

{% endfor -%}
final as (

    {%- for view in views %}
    select
        '{{ view }}' as view_name,
        coalesce(facts.currency, sums.currency) as currency,
        facts.total_sales as expected,
        sums.total_sales as found
    from facts
    full outer join {{ view }}_sums as sums on facts.currency = sums.currency
    where coalesce(facts.total_sales, 0) <> coalesce(sums.total_sales, 0)
    {{ 'union all' if not loop.last }}
    {%- endfor %}

)

select * from final
