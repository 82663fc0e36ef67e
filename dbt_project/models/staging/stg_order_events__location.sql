with

source as (
    select * from {{ source('order_events', 'location') }}
),

renamed as (
    select
        ingest_hour,
        order_zipcode,
        order_city,
        order_state,
        order_region,
        order_country,
        latitude,
        longitude,
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
