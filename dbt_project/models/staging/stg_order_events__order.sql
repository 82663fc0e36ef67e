with

source as (
    select * from {{ source('order_events', 'order') }}
),

renamed as (
    select
        ingest_hour,
        order_item_id,
        order_id,
        order_date,
        order_customer_id,
        product_card_id,
        order_item_discount,
        order_item_discount_rate,
        order_item_product_price,
        order_item_profit_ratio,
        order_item_quantity,
        sales_per_customer,
        sales,
        order_item_total,
        order_profit_per_order,
        order_status,
        department_id,
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
