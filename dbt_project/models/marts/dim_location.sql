with

versions as (
    select * from {{ ref('stg_order_events__location') }}
),

latest as (
    {{
        latest_version('versions', [
            'order_zipcode', 'order_city', 'order_state', 'order_region', 'order_country', 'latitude', 'longitude'
        ])
    }}
),

final as (
    select
        {{
            surrogate_key([
                'order_zipcode', 'order_city', 'order_state', 'order_region', 'order_country',
                numeric_text('latitude'), numeric_text('longitude')
            ])
        }} as location_key,
        order_zipcode,
        order_city,
        order_state,
        order_region,
        order_country,
        latitude,
        longitude,
        last_event_time
    from latest
)

select * from final
