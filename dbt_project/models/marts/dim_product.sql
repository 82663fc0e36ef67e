with

versions as (
    select * from {{ ref('stg_order_events__product') }}
),

latest as (
    {{ latest_version('versions', ['product_card_id']) }}
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
        last_event_time
    from latest
)

select * from final
