{%- set key = {'product_card_id': 'product_card_id'} -%}
{{
    config(
        unique_key='product_card_id',
        cluster_by=['product_card_id'],
        post_hook="{{ remove_vanished(ref('stg_order_events__product'), {'product_card_id': 'product_card_id'}) }}"
    )
}}

with

versions as (
    {{ deciding_versions(ref('stg_order_events__product'), key) }}
),

latest as (
    {{ latest_version('versions', key) }}
),

final as (
    select
        product_card_id,
        product_category_id,
        category_name,
        product_description,
        product_image,
        product_name,
        product_price,
        product_status,
        last_event_time,
        last_event_partition,
        last_event_offset,
        ingest_hour
    from latest
)

select * from final
