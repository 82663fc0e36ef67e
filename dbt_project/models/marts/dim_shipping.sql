{%- set key = {'order_id': 'order_id'} -%}
{{
    config(
        unique_key='order_id',
        cluster_by=['order_id'],
        post_hook="{{ remove_vanished(ref('stg_order_events__shipping'), {'order_id': 'order_id'}) }}"
    )
}}

with

versions as (
    {{ deciding_versions(ref('stg_order_events__shipping'), key) }}
),

latest as (
    {{ latest_version('versions', key) }}
),

final as (
    select
        order_id,
        shipping_date,
        days_for_shipping_real,
        days_for_shipment_scheduled,
        shipping_mode,
        delivery_status,
        last_event_time,
        last_event_partition,
        last_event_offset,
        ingest_hour
    from latest
)

select * from final
