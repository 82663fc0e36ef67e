with

source as (
    select * from {{ source('order_events', 'shipping') }}
),

renamed as (
    select
        ingest_hour,
        order_id,
        shipping_date,
        days_for_shipping_real,
        days_for_shipment_scheduled,
        shipping_mode,
        delivery_status,
        first_event_time,
        first_event_partition,
        first_event_offset,
        last_event_time,
        last_event_partition,
        last_event_offset,
        events
    from source
)

select * from renamed
