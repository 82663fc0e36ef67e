{%- set attributes = [
    'product_category_id', 'category_name', 'product_description', 'product_image', 'product_name', 'product_price',
    'product_status'
] -%}
{{ config(unique_key='product_key', cluster_by=['product_card_id'], post_hook='{{ remove_ended() }}') }}

with

versions as (
    {{ history(ref('stg_order_events__product'), 'product_card_id', attributes, 'product_key') }}
),

final as (
    select
        product_key,
        product_card_id,
        product_category_id,
        category_name,
        product_description,
        product_image,
        product_name,
        product_price,
        product_status,
        is_current,
        valid_from,
        valid_to,
        first_event_partition,
        first_event_offset,
        first_ingest_hour,
        last_event_time,
        last_event_partition,
        last_event_offset,
        ingest_hour
    from versions
)

select * from final
