{%- set key = {'topic': 'topic', '`partition`': '`partition`', 'offset': 'offset'} -%}
{{
    config(
        unique_key=['topic', '`partition`', 'offset'],
        cluster_by=['topic', 'partition', 'offset'],
        post_hook="{{ remove_vanished(ref('stg_order_events__metadata'), {'topic': 'topic', '`partition`': '`partition`', 'offset': 'offset'}) }}"
    )
}}

with

versions as (
    {{ deciding_versions(ref('stg_order_events__metadata'), key) }}
),

latest as (
    {{ latest_version('versions', key) }}
),

final as (
    select
        key,
        offset,
        `partition`,
        time,
        topic,
        payload,
        last_event_time,
        last_event_partition,
        last_event_offset,
        ingest_hour
    from latest
)

select * from final
