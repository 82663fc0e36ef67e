{{
    config(
        unique_key='order_item_id',
        partition_by={'field': 'order_day', 'data_type': 'date', 'granularity': 'month'},
        cluster_by=['customer_id', 'product_card_id'],
        post_hook='{{ remove_vanished_order_items() }}'
    )
}}
-- depends_on: {{ ref('stg_order_events__order') }}
{%- set in_hours = in_hours_of_touched_items() if execute and is_incremental() else 'true' %}

with

order_items as (
    select *
    from {{ ref('dim_order') }}
    {%- if is_incremental() %}
        where order_item_id in ({{ touched_order_items() }})
    {%- endif %}
),

first_events as (
    select
        order_item_id,
        valid_from as first_event_time,
        first_ingest_hour
    from {{ ref('fct_order_status') }}
    where true
    qualify
        row_number() over (
            partition by order_item_id order by valid_from, first_event_partition, first_event_offset
        ) = 1
),

customers as (
    select * from {{ ref('dim_customer') }}
),

products as (
    select * from {{ ref('dim_product') }}
),

-- What else the event of an order item says lies in other dimensions, under the same hour and position.
locations as (
    select
        ingest_hour,
        event.event_time,
        event.event_partition,
        event.event_offset,
        {{ location_key() }} as location_key
    from {{ ref('stg_order_events__location') }}, unnest(events) as event
    where {{ in_hours }}
),

departments as (
    select
        ingest_hour,
        event.event_time,
        event.event_partition,
        event.event_offset,
        {{ department_market_key() }} as department_market_key
    from {{ ref('stg_order_events__department') }}, unnest(events) as event
    where {{ in_hours }}
),

positions as (
    select
        ingest_hour,
        time as event_time,
        `partition` as event_partition,
        offset as event_offset,
        topic
    from {{ ref('stg_order_events__metadata') }}
    where {{ in_hours }}
),

final as (
    select
        order_items.order_item_id,
        order_items.order_id,
        customers.customer_key,
        order_items.order_customer_id as customer_id,
        products.product_key,
        order_items.product_card_id,
        locations.location_key,
        departments.department_market_key,
        order_items.order_status,
        order_items.order_item_quantity,
        order_items.order_item_product_price,
        order_items.sales,
        order_items.order_item_discount,
        order_items.order_item_total,
        order_items.order_profit_per_order,
        order_items.order_date,
        date(order_items.order_date) as order_day,
        first_events.first_event_time,
        first_events.first_ingest_hour,
        positions.topic,
        order_items.last_event_time,
        order_items.last_event_partition,
        order_items.last_event_offset,
        order_items.ingest_hour
    from order_items
    left join first_events on order_items.order_item_id = first_events.order_item_id
    left join customers
        on
            order_items.order_customer_id = customers.customer_id
            and first_events.first_event_time >= customers.valid_from
            and first_events.first_event_time < coalesce(customers.valid_to, timestamp '9999-12-31')
    left join products
        on
            order_items.product_card_id = products.product_card_id
            and first_events.first_event_time >= products.valid_from
            and first_events.first_event_time < coalesce(products.valid_to, timestamp '9999-12-31')
    left join locations
        on
            order_items.ingest_hour = locations.ingest_hour
            and order_items.last_event_time = locations.event_time
            and order_items.last_event_partition = locations.event_partition
            and order_items.last_event_offset = locations.event_offset
    left join departments
        on
            order_items.ingest_hour = departments.ingest_hour
            and order_items.last_event_time = departments.event_time
            and order_items.last_event_partition = departments.event_partition
            and order_items.last_event_offset = departments.event_offset
    left join positions
        on
            order_items.ingest_hour = positions.ingest_hour
            and order_items.last_event_time = positions.event_time
            and order_items.last_event_partition = positions.event_partition
            and order_items.last_event_offset = positions.event_offset
)

select * from final
