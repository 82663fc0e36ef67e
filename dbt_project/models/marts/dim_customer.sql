with

versions as (
    select * from {{ ref('stg_order_events__customer') }}
),

latest as (
    {{ latest_version('versions', ['customer_id']) }}
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
        last_event_time
    from latest
)

select * from final
