with

order_items as (
    select * from {{ ref('fct_order_item') }}
),

locations as (
    select * from {{ ref('dim_location') }}
),

shipments as (
    select * from {{ ref('dim_shipping') }}
),

-- A shipment is of an order, so the items of an order count once. They have one destination.
orders as (
    select
        order_items.order_id,
        min(date_trunc(order_items.order_day, month)) as order_month,
        min(locations.order_region) as order_region
    from order_items
    inner join locations on order_items.location_key = locations.location_key
    group by order_items.order_id
),

totals as (
    select
        orders.order_month,
        orders.order_region,
        shipments.shipping_mode,
        count(*) as shipments,
        countif(shipments.delivery_status = 'Late delivery') as late_shipments,
        countif(shipments.delivery_status = 'Shipping on time') as on_time_shipments,
        countif(shipments.delivery_status = 'Advance shipping') as advance_shipments,
        countif(shipments.delivery_status = 'Shipping canceled') as canceled_shipments,
        sum(
            if(
                shipments.delivery_status = 'Late delivery',
                shipments.days_for_shipping_real - shipments.days_for_shipment_scheduled,
                0
            )
        ) as days_late
    from orders
    inner join shipments on orders.order_id = shipments.order_id
    group by orders.order_month, orders.order_region, shipments.shipping_mode
),

final as (
    select
        *,
        late_shipments / shipments as late_share,
        safe_divide(days_late, late_shipments) as average_days_late
    from totals
)

select * from final
