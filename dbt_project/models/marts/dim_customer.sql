{%- set key = {'customer_id': 'customer_id'} -%}
{{
    config(
        unique_key='customer_id',
        cluster_by=['customer_id'],
        post_hook="{{ remove_vanished(ref('stg_order_events__customer'), {'customer_id': 'customer_id'}) }}"
    )
}}

with

versions as (
    {{ deciding_versions(ref('stg_order_events__customer'), key) }}
),

latest as (
    {{ latest_version('versions', key) }}
),

final as (
    select
        customer_id,
        customer_email,
        customer_fname,
        customer_lname,
        customer_segment,
        customer_city,
        customer_country,
        customer_state,
        customer_street,
        customer_zipcode,
        last_event_time,
        last_event_partition,
        last_event_offset,
        ingest_hour
    from latest
)

select * from final
