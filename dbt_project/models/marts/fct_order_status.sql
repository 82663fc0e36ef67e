{{ config(unique_key='order_status_key', cluster_by=['order_item_id'], post_hook='{{ remove_ended() }}') }}

with

versions as (
    {{ history(ref('stg_order_events__order'), 'order_item_id', ['order_status'], 'order_status_key') }}
),

final as (
    select
        order_status_key,
        order_item_id,
        order_status,
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
