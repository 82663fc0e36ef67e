with

versions as (
    select * from {{ ref('stg_order_events__order') }}
),

latest as (
    {{ latest_version('versions', ['order_item_id']) }}
),

final as (
    select
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
        last_event_time
    from latest
)

select * from final
