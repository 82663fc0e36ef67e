{%- set key = {'order_item_id': 'order_item_id'} -%}
{{
    config(
        unique_key='order_item_id',
        cluster_by=['order_item_id'],
        post_hook="{{ remove_vanished(ref('stg_order_events__order'), {'order_item_id': 'order_item_id'}) }}"
    )
}}

with

versions as (
    {{ deciding_versions(ref('stg_order_events__order'), key) }}
),

latest as (
    {{ latest_version('versions', key) }}
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
        last_event_time,
        last_event_partition,
        last_event_offset,
        ingest_hour
    from latest
)

select * from final
