with

order_items as (
    select * from {{ ref('fct_order_item') }}
),

products as (
    select * from {{ ref('dim_product') }}
),

departments as (
    select * from {{ ref('dim_department') }}
),

totals as (
    select
        date_trunc(order_items.order_day, month) as order_month,
        departments.market,
        departments.department_id,
        departments.department_name,
        products.product_category_id,
        products.category_name,
        count(*) as order_items,
        count(distinct order_items.order_id) as orders,
        sum(order_items.order_item_quantity) as units,
        sum(order_items.sales) as sales,
        sum(order_items.order_item_discount) as discount,
        sum(order_items.order_item_total) as revenue,
        sum(order_items.order_profit_per_order) as profit
    from order_items
    inner join products on order_items.product_key = products.product_key
    inner join departments on order_items.department_market_key = departments.department_market_key
    group by
        order_month,
        departments.market,
        departments.department_id,
        departments.department_name,
        products.product_category_id,
        products.category_name
),

final as (
    select
        *,
        cast(safe_divide(profit, revenue) as float64) as profit_margin
    from totals
)

select * from final
