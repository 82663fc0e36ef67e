with

source as (
    select * from {{ source('order_events', 'department') }}
),

renamed as (
    select
        ingest_hour,
        department_id,
        department_name,
        market,
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
