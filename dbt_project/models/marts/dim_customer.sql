{%- set attributes = [
    'customer_email', 'customer_fname', 'customer_lname', 'customer_segment', 'customer_city', 'customer_country',
    'customer_state', 'customer_street', 'customer_zipcode'
] -%}
{{ config(unique_key='customer_key', cluster_by=['customer_id'], post_hook='{{ remove_ended() }}') }}

with

versions as (
    {{ history(ref('stg_order_events__customer'), 'customer_id', attributes, 'customer_key') }}
),

final as (
    select
        customer_key,
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
