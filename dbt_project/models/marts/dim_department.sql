{%- set key = {'department_market_key': department_market_key()} -%}
{{
    config(
        unique_key='department_market_key',
        cluster_by=['department_market_key'],
        post_hook="{{ remove_vanished(ref('stg_order_events__department'), {'department_market_key': department_market_key()}) }}"
    )
}}

with

versions as (
    {{ deciding_versions(ref('stg_order_events__department'), key) }}
),

latest as (
    {{ latest_version('versions', key) }}
),

final as (
    select
        department_market_key,
        department_id,
        department_name,
        market,
        last_event_time,
        last_event_partition,
        last_event_offset,
        ingest_hour
    from latest
)

select * from final
