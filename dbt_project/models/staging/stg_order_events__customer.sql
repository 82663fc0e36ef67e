with

source as (
    select * from {{ source('order_events', 'customer') }}
),

renamed as (
    select
        ingest_hour,
        customer_id,
        customer_email,
        customer_fname,
        customer_lname,
        customer_segment,
        customer_city,
        customer_country,
        customer_state,
        customer_street,
        customer_zipcode,
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
