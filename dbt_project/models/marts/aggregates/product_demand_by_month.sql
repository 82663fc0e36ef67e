with

order_items as (
    select * from {{ ref('fct_order_item') }}
),

products as (
    select *
    from {{ ref('dim_product') }}
    where is_current
),

totals as (
    select
        date_trunc(order_day, month) as order_month,
        product_card_id,
        sum(order_item_quantity) as units,
        sum(order_item_discount) as discount,
        sum(order_item_total) as revenue
    from order_items
    group by order_month, product_card_id
),

first_month as (
    select min(order_month) as order_month from totals
),

final as (
    select
        totals.order_month,
        totals.product_card_id,
        products.product_name,
        products.category_name,
        totals.units,
        totals.discount,
        totals.revenue,
        rank() over (partition by totals.order_month order by totals.revenue desc) as revenue_rank,
        -- A product that nobody ordered the month before sold nothing; before the first month nothing is known.
        if(totals.order_month > first_month.order_month, totals.units - coalesce(before.units, 0), null)
            as units_change,
        if(totals.order_month > first_month.order_month, totals.revenue - coalesce(before.revenue, 0), null)
            as revenue_change
    from totals
    inner join products on totals.product_card_id = products.product_card_id
    cross join first_month
    left join totals as before
        on
            totals.product_card_id = before.product_card_id
            and date_sub(totals.order_month, interval 1 month) = before.order_month
)

select * from final
