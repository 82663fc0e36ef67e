with

versions as (
    select * from {{ ref('stg_order_events__department') }}
),

latest as (
    {{ latest_version('versions', ['department_id', 'market']) }}
),

final as (
    select
        {{ surrogate_key(['department_id', 'market']) }} as department_market_key,
        department_id,
        department_name,
        market,
        last_event_time
    from latest
)

select * from final
