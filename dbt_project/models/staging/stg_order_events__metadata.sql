with

source as (
    select * from {{ source('order_events', 'metadata') }}
),

renamed as (
    select
        ingest_hour,
        key,
        offset,
        `partition`,
        time,
        topic,
        payload,
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
