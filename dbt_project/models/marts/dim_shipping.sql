with

versions as (
    select * from {{ ref('stg_order_events__shipping') }}
),

latest as (
    {{ latest_version('versions', ['order_id']) }}
),

final as (
    select
        order_id,
        shipping_date,
        days_for_shipping_real,
        days_for_shipment_scheduled,
        shipping_mode,
        delivery_status,
        last_event_time
    from latest
)

select * from final
