{%- set key = {'location_key': location_key()} -%}
{{
    config(
        unique_key='location_key',
        cluster_by=['location_key'],
        post_hook="{{ remove_vanished(ref('stg_order_events__location'), {'location_key': location_key()}) }}"
    )
}}

with

versions as (
    {{ deciding_versions(ref('stg_order_events__location'), key) }}
),

latest as (
    {{ latest_version('versions', key) }}
),

final as (
    select
        location_key,
        order_zipcode,
        order_city,
        order_state,
        order_region,
        order_country,
        latitude,
        longitude,
        last_event_time,
        last_event_partition,
        last_event_offset,
        ingest_hour
    from latest
)

select * from final
