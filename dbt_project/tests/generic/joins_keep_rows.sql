{#- Fails if joining every dimension to the facts, each on its key, changes the number of rows or a sum. -#}
{% test joins_keep_rows(model) %}

    {%- set measures = ['order_item_quantity', 'sales', 'order_item_discount', 'order_item_total', 'order_profit_per_order'] %}
    with

    facts as (
        select * from {{ model }}
    ),

    alone as (
        select
            count(*) as row_count{% for measure in measures %},
            coalesce(sum({{ measure }}), 0) as {{ measure }}{% endfor %}
        from facts
    ),

    joined as (
        select
            count(*) as row_count{% for measure in measures %},
            coalesce(sum(facts.{{ measure }}), 0) as {{ measure }}{% endfor %}
        from facts
        inner join {{ ref('dim_order') }} as order_item on facts.order_item_id = order_item.order_item_id
        inner join {{ ref('dim_shipping') }} as shipment on facts.order_id = shipment.order_id
        inner join {{ ref('dim_customer') }} as customer on facts.customer_key = customer.customer_key
        inner join {{ ref('dim_product') }} as product on facts.product_key = product.product_key
        inner join {{ ref('dim_location') }} as location on facts.location_key = location.location_key
        inner join {{ ref('dim_department') }} as department
            on facts.department_market_key = department.department_market_key
        inner join {{ ref('dim_date') }} as calendar on facts.order_day = calendar.date_day
        inner join {{ ref('dim_metadata') }} as event
            on
                facts.topic = event.topic
                and facts.last_event_partition = event.`partition`
                and facts.last_event_offset = event.offset
    )

    select alone.*, joined.row_count as joined_rows
    from alone
    cross join joined
    where
        alone.row_count != joined.row_count
        {%- for measure in measures %}
        or alone.{{ measure }} != joined.{{ measure }}
        {%- endfor %}

{% endtest %}
