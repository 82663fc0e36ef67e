with

source as (
    select * from {{ source('order_events', 'product') }}
),

renamed as (
    select
        ingest_hour,
        product_card_id,
        product_category_id,
        category_name,
        product_description,
        product_image,
        product_name,
        product_price,
        product_status,
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
