with

versions as (
    select * from {{ ref('stg_order_events__metadata') }}
),

latest as (
    {{ latest_version('versions', ['topic', '`partition`', 'offset']) }}
),

final as (
    select
        key,
        offset,
        `partition`,
        time,
        topic
    from latest
)

select * from final
